/**
 * Memory in use: buffers into which a call still reads after whoever asked for it was told that it failed. A device
 * that hangs, or that is taken out, is not waited for; nobody else may have such a buffer before the call has ended.
 */
const calls = new WeakMap<Uint8Array, Promise<void>>()

/** The call, which reads into the buffer until it settles. */
export function readingInto<T>(buffer: Uint8Array, call: Promise<T>): Promise<T> {
  const ended = (): void => void calls.delete(buffer)
  calls.set(buffer, call.then(ended, ended))
  return call
}

/** Calls `then` once nothing is read into this very buffer any more: now, where nothing is. */
export function whenFree(buffer: Uint8Array, then: () => void): void {
  const ended = calls.get(buffer)
  if (ended === undefined) then()
  else void ended.then(then)
}
