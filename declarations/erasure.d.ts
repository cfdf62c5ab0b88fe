/**
 * `hayloft/erasure`: Reed–Solomon codes over bytes in memory (docs/guide/erasure.md).
 *
 * The public types of packages/engine/src/erasure/library.ts, as programs see them; a test has the compiler compare the two.
 */

/** The methods throw it for arguments that do not fit. */
export interface ErasureError extends Error {
  readonly code: "invalidCode" | "invalidBytes" | "shardCount" | "shardLength" | "notEnoughShards" | "invalidLength"
}

/** A code of `dataShards` + `parityShards`: any `dataShards` of all shards suffice to make the others. */
export class ErasureCode {
  readonly dataShards: number
  readonly parityShards: number

  /** Both at least 1, together at most 32; throws `invalidCode` otherwise. */
  constructor(dataShards: number, parityShards: number)

  /** A copy of the body in `dataShards` equal pieces, the last ones padded with zeros. Throws `invalidBytes`. */
  split(body: Uint8Array): Uint8Array[]
  /**
   * The body of so many bytes that `split` has cut into these data shards; parity shards behind them are ignored. Throws
   * `invalidBytes` if one is missing, `shardCount`, `shardLength`, `invalidLength`.
   */
  join(shards: readonly Uint8Array[], lengthBytes: number): Uint8Array
  /** The parity shards of the data shards, which are of one length. Throws `invalidBytes`, `shardCount`, `shardLength`. */
  encode(data: readonly Uint8Array[]): Uint8Array[]
  /**
   * All shards, data first: those that are given, and the missing (undefined) ones as they were. Throws
   * `notEnoughShards`, `invalidBytes`, `shardCount`, `shardLength`.
   */
  reconstruct(shards: readonly (Uint8Array | undefined)[]): Uint8Array[]
  /**
   * Returns true if the parity shards are those of the data shards. Needs all shards: throws `invalidBytes` if one is
   * missing, `shardCount`, `shardLength`.
   */
  verify(shards: readonly Uint8Array[]): boolean
}
