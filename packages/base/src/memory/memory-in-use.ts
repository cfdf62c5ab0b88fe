/**
 * Memory in use: buffers into which a call still reads after its caller was failed. A device
 * that hangs, or is taken offline, is not waited for; no other code may use such a buffer before the call has ended.
 */
const calls = new WeakMap<Uint8Array, Promise<void>>()

/** Registers and returns the call, which reads into the buffer until it settles. */
export function readingInto<T>(buffer: Uint8Array, call: Promise<T>): Promise<T> {
  const ended = (): void => void calls.delete(buffer)
  calls.set(buffer, call.then(ended, ended))
  return call
}

/** Calls `then` once no call reads into this buffer: synchronously if none does. */
export function whenFree(buffer: Uint8Array, then: () => void): void {
  const ended = calls.get(buffer)
  if (ended === undefined) then()
  else void ended.then(then)
}
