// Which green channel a patient takes: what the protocol says that the hospital should have, where
// this hospital has it, and the case is grave enough to hurry.

import type { ArrivalView, Capability } from '@/lib/types'

const GRAVE = new Set(['red', 'orange'])

/** The channel's capability, or undefined where none is called for or the hospital lacks it. */
export function channelOf(
  arrival: ArrivalView,
  capabilities: readonly Capability[],
): Capability | undefined {
  if (!arrival.priority || !GRAVE.has(arrival.priority)) return undefined
  return arrival.needs?.find((need) => capabilities.includes(need))
}
