// The command line: short words in pinyin or English, each with what it wants and what it offers.

import { NUISANCE_REASONS, useCalls } from '@/lib/calls'
import { lengthText } from '@/lib/clock'
import { has, say, t } from '@/lib/i18n'
import { shortNo } from '@/lib/incidents'
import { PAUSE_REASONS, useSeat } from '@/lib/seat'
import { CLOSE_REASONS, useDesk } from './desk'
import { useProposals } from './proposals'
import { useTalk, type ReachMode } from './talk'

export interface Offer {
  /** What the line becomes when it is taken. */
  line: string
  label: string
  hint: string
}

interface LineCommand {
  words: [pinyin: string, english: string]
  /** What may follow, as offers. */
  offers?: (typed: string) => Offer[]
  /** Runs; gives a fault's key, or nothing. */
  run: (rest: string) => Promise<string | void> | string | void
}

const OFFERS_MAX = 8

export function useCommandLine() {
  const desk = useDesk()
  const calls = useCalls()
  const seat = useSeat()
  const proposals = useProposals()
  const talk = useTalk()

  /** The units whose plate ends in what was typed; free ones first. */
  function unitsBySuffix(typed: string) {
    const wanted = typed.trim().toUpperCase()
    const found = desk.store
      .all('unit')
      .filter((unit) => wanted !== '' && unit.plate.toUpperCase().endsWith(wanted))
    return found.sort((a, b) => Number(proposals.isFree(b.unit_id)) - Number(proposals.isFree(a.unit_id)))
  }

  function incidentByNo(typed: string) {
    const wanted = typed.replace('#', '').trim()
    return [...desk.pending, ...desk.active].find((item) => shortNo(item.incident_id) === wanted)
  }

  function reasonOf<T extends string>(typed: string, group: string, codes: readonly T[]): T | undefined {
    const wanted = typed.trim().toLowerCase()
    const byNumber = codes[Number(wanted) - 1]
    return byNumber ?? codes.find((code) => code === wanted || t(`${group}.${code}`) === wanted)
  }

  function reasonOffers(word: string, group: string, codes: readonly string[]): Offer[] {
    return codes.map((code, n) => ({ line: `${word} ${n + 1}`, label: `${word} ${n + 1}`, hint: t(`${group}.${code}`) }))
  }

  function unitOffers(typed: string): Offer[] {
    const offered = proposals.shown.map(({ unit_id, eta_s }) => ({ unit_id, hint: lengthText(eta_s) }))
    const named = unitsBySuffix(typed).map(({ unit_id, status }) => ({ unit_id, hint: t(`status.${status}`) }))
    return (typed.trim() ? named : offered).map(({ unit_id, hint }) => {
      const plate = desk.store.get('unit', unit_id)?.plate ?? unit_id
      return { line: `pc ${plate.replace(/^.*[·]/, '')}`, label: plate, hint }
    })
  }

  async function sendUnit(rest: string): Promise<string | void> {
    if (!desk.isOpen) return 'no_incident'
    if (!rest.trim()) {
      await proposals.sendSelected()
      return
    }
    const found = unitsBySuffix(rest)
    if (found.length === 0) return 'no_unit'
    if (found.length > 1 && found.filter((unit) => proposals.isFree(unit.unit_id)).length !== 1) return 'many_units'
    await desk.assign(found[0]!.unit_id)
  }

  function reachOffers(word: string): Offer[] {
    return talk.quick.map(({ label, number, seat_id }) => ({ line: `${word} ${number ?? seat_id}`, label: `${word} ${number ?? seat_id}`, hint: label }))
  }

  async function reach(mode: ReachMode, rest: string): Promise<string | void> {
    const target = talk.targetOf(rest)
    if (!talk.call) return 'no_call'
    if (!target) return 'no_target'
    talk.reaching = mode
    await talk.reach(target)
  }

  const commands: LineCommand[] = [
    { words: ['pc', 'send'], offers: unitOffers, run: sendUnit },
    {
      words: ['hb', 'callback'],
      offers: () =>
        calls.callbacks.map((call, n) => ({ line: `hb ${n + 1}`, label: `hb ${n + 1}`, hint: call.caller_number })),
      run: (rest) => {
        const call = calls.callbacks[(Number(rest) || 1) - 1]
        return call ? calls.callBack(call) : 'no_callback'
      },
    },
    { words: ['jt', 'answer'], run: () => calls.answer() },
    {
      words: ['dh', 'dial'],
      offers: () => talk.quick.filter(({ number }) => number).map(({ label, number }) => ({ line: `dh ${number}`, label: `dh ${number}`, hint: label })),
      run: (rest) => {
        const target = talk.targetOf(rest)
        return target?.number ? calls.callOut(target.number, desk.incident?.incident_id) : 'no_target'
      },
    },
    { words: ['jr', 'add'], offers: () => reachOffers('jr'), run: (rest) => reach('add', rest) },
    { words: ['zj', 'transfer'], offers: () => reachOffers('zj'), run: (rest) => reach('transfer', rest) },
    { words: ['dx', 'locate'], run: () => (desk.shownCall ? calls.sendLink(desk.shownCall) : 'no_call') },
    { words: ['bc', 'hold'], run: () => talk.toggleHold() },
    {
      words: ['sr', 'nuisance'],
      offers: () => reasonOffers('sr', 'nuisance', NUISANCE_REASONS),
      run: (rest) => {
        if (!desk.shownCall) return 'no_call'
        const reason = reasonOf(rest, 'nuisance', NUISANCE_REASONS) ?? rest.trim()
        return reason ? calls.markNuisance(desk.shownCall, reason) : 'no_reason'
      },
    },
    { words: ['gf', 'surge'], run: (rest) => calls.setSurge(calls.queue?.surge_since_ms === undefined, rest.trim()) },
    { words: ['gd', 'hangup'], run: () => calls.hangUp() },
    {
      words: ['zt', 'pause'],
      offers: () => reasonOffers('zt', 'pause', PAUSE_REASONS),
      run: (rest) => seat.set('paused', reasonOf(rest, 'pause', PAUSE_REASONS) ?? (rest.trim() || PAUSE_REASONS[0])),
    },
    { words: ['kx', 'free'], run: () => seat.set('free') },
    {
      words: ['js', 'close'],
      offers: () => reasonOffers('js', 'close', CLOSE_REASONS),
      run: (rest) => {
        if (!desk.isOpen) return 'no_incident'
        const reason = reasonOf(rest, 'close', CLOSE_REASONS)
        if (!reason) return 'no_reason'
        return desk.closeIncident(reason)
      },
    },
    { words: ['ch', 'recall'], run: () => desk.recall() },
    { words: ['xj', 'new'], run: () => desk.openIncident() },
    {
      words: ['xz', 'select'],
      offers: () => incidentOffers('xz'),
      run: (rest) => {
        const found = incidentByNo(rest)
        if (!found) return 'no_such_incident'
        desk.select(found.incident_id)
      },
    },
    {
      words: ['gl', 'link'],
      offers: () => incidentOffers('gl'),
      run: (rest) => {
        const found = incidentByNo(rest)
        if (!desk.shownCall) return 'no_call'
        return found ? desk.linkCall(found.incident_id) : 'no_such_incident'
      },
    },
    { words: ['bz', 'note'], run: async (rest) => (rest.trim() ? void (await desk.addNote(rest)) : 'no_text') },
  ]

  function incidentOffers(word: string): Offer[] {
    return [...desk.pending, ...desk.active].map((item) => ({
      line: `${word} ${shortNo(item.incident_id)}`,
      label: `${word} ${shortNo(item.incident_id)}`,
      hint: `${say(item.complaint_text)} ${item.location?.address ?? ''}`.trim(),
    }))
  }

  function split(line: string): [command: LineCommand | undefined, word: string, rest: string] {
    const [word = '', ...rest] = line.trimStart().split(' ')
    return [commands.find(({ words }) => words.includes(word.toLowerCase())), word, rest.join(' ')]
  }

  function offersFor(line: string): Offer[] {
    const [command, word, rest] = split(line)
    if (command && line.includes(' ')) {
      const typed = rest.trim().toLowerCase()
      const all = command.offers?.(rest) ?? []
      const fits = command.words[0] === 'pc' ? all : all.filter((item) => `${item.line} ${item.hint}`.toLowerCase().includes(typed))
      return fits.slice(0, OFFERS_MAX)
    }
    return commands
      .filter(({ words }) => words.some((known) => known.startsWith(word.toLowerCase())))
      .map(({ words, offers }) => ({
        line: offers || ['bz', 'gf'].includes(words[0]) ? `${words[0]} ` : words[0],
        label: `${words[0]} · ${words[1]}`,
        hint: t(`line.${words[1]}`),
      }))
  }

  /** Runs the line; gives the fault as text, or '' when it was understood. */
  async function run(line: string): Promise<string> {
    const [command, word, rest] = split(line)
    if (!command) return t('line.fault_unknown', { word })
    const fault = await command.run(rest)
    if (!fault) return ''
    return has(`line.fault_${fault}`) ? t(`line.fault_${fault}`) : fault
  }

  return { offersFor, run }
}
