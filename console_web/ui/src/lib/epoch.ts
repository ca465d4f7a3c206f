// The newest writer that this window has heard of. It outlives a reload: a machine that was replaced,
// and comes back with what it had, is not believed. A log-in begins anew, for a centre that was made
// anew counts from one.

const KEY = 'd120.epoch'
let greatest = Number(sessionStorage.getItem(KEY)) || 0

export const greatestEpoch = (): number => greatest

export function hearEpoch(epoch: number): void {
  if (epoch <= greatest) return
  greatest = epoch
  sessionStorage.setItem(KEY, String(epoch))
}

export function forgetEpoch(): void {
  greatest = 0
  sessionStorage.removeItem(KEY)
}
