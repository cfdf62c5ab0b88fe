/** A signal that never fires. It is given to work that must run to its end. */
export const NEVER: AbortSignal = new AbortController().signal
