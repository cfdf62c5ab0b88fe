/** XXH64; being written. */
export function xxh64(_bytes: Uint8Array, _seed = 0n): bigint {
  throw new Error("not built")
}
