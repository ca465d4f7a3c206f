// Alarms that tell of something that has happened: only a person knows when it has been seen to.
// The same as ALARMS_BY_HAND in dispatch/core/system.py; a test holds both together.
const BY_HAND = [
  'alerts_dropped',
  'callback_failed',
  'command_quarantined',
  'effect_failed',
  'journal_truncated',
  'reader_failed',
]

export function isClearedByHand(code: string): boolean {
  return BY_HAND.includes(code.split('/')[0] ?? '')
}
