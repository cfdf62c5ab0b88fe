/**
 * Random: the only source of randomness, a tree.
 *
 * `fork(name)` returns a child whose numbers never shift those of others, so one more number drawn in one place
 * does not change any other part of a run with the same seed. The real one is cryptographically strong.
 */
export interface Random {
  bytes(count: number): Uint8Array
  /** A whole number from 0 up to, not including, `limit` (at most 2^32). */
  below(limit: number): number
  fork(name: string): Random
}
