// From when on the console calls something late. National goals: 95 % of calls answered within 10 s,
// 95 % of vehicles rolling within 3 min (docs/sources.md).

export const CALL_WAIT_LIMIT_MS = 10_000
export const UNSENT_LIMIT_MS = 180_000
/** A crew that has not acknowledged after this; the core raises its alarm at the same time. */
export const ACKNOWLEDGE_LIMIT_MS = 60_000
/** A fix older than this is drawn faint. */
export const FIX_STALE_MS = 60_000
