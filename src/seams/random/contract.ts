/**
 * Random: the only source of randomness, a tree.
 *
 * `fork(name)` gives a child whose draws never shift anyone else's, so one more draw in one place
 * does not rewrite every other story of the same seed. The real one is cryptographically strong.
 */
export interface Random {
  bytes(count: number): Uint8Array
  /** A whole number from 0 up to, not including, `limit` (at most 2^32). */
  below(limit: number): number
  fork(name: string): Random
}
