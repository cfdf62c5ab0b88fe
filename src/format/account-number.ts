/**
 * Account numbers: the 12 digits by which ARNs name an account.
 *
 * An account made before there were any has the one that its id comes to: SHA-256 of the id, its first
 * 8 bytes as a number (big-endian), of that the last 12 decimal digits.
 */
import { createHash } from "node:crypto"
import { parseAccountNumber, type AccountId, type AccountNumber } from "../base/ids.js"

const NUMBERS = 1_000_000_000_000n
const numberOf = (value: bigint): AccountNumber => parseAccountNumber(String(value % NUMBERS).padStart(12, "0"))

export const accountNumberOf = (id: AccountId): AccountNumber =>
  numberOf(createHash("sha256").update(id).digest().readBigUInt64BE(0))

/** The one that is tried where a number is taken. */
export const nextAccountNumber = (number: AccountNumber): AccountNumber => numberOf(BigInt(number) + 1n)
