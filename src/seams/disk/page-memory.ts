/** Memory that begins on a page, as the kernel wants it for reads past its cache. */
const WASM_PAGE_BYTES = 65_536

/**
 * At least so many bytes, zeroed. Each call takes address space of gigabytes until it is collected, as any
 * WebAssembly memory does: keep what it gives, and use it again.
 */
export function pageMemory(lengthBytes: number): Uint8Array {
  const pages = Math.ceil(lengthBytes / WASM_PAGE_BYTES)
  return new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer)
}
