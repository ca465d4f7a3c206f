// Who dials a number from where it stands, and by which telephone.

import type { Session } from '@/lib/frames'

type Role = Session['role'] | undefined

/** Why nothing can be dialled from a seat now; a reason is `dial.<it>` in words. */
export type NoDial = '' | 'no_seat' | 'closed' | 'no_phone' | 'talking'

/** A supervisor's phone is that of a seat that may be closed: he takes no calls there. */
export const supervises = (role: Role): boolean => role === 'supervisor' || role === 'admin'

/** Whether a seat's phone dials for this role; the others have none. */
export const hasSeat = (role: Role): boolean => role === 'call_taker' || supervises(role)

/** For a device whose own telephone dials. */
export const telOf = (number: string): string => `tel:${number.replace(/[^+0-9*#]/g, '')}`
