/** A signal that never fires: for work that nobody can end early, such as a step that a later one depends on. */
export const NEVER: AbortSignal = new AbortController().signal
