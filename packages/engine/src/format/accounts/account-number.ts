/**
 * Account numbers: the 12 digits by which ARNs name an account.
 *
 * An account created before numbers existed gets one derived from its id: the first 8 bytes of the SHA-256 of the id
 * as a big-endian number, of which the last 12 decimal digits.
 */
import { createHash } from "node:crypto"
import { parseAccountNumber, type AccountId, type AccountNumber } from "@hayloft/base/ids.js"

const NUMBERS = 1_000_000_000_000n
const numberOf = (value: bigint): AccountNumber => parseAccountNumber(String(value % NUMBERS).padStart(12, "0"))

export const accountNumberOf = (id: AccountId): AccountNumber =>
  numberOf(createHash("sha256").update(id).digest().readBigUInt64BE(0))

/** The next candidate if a number is taken. */
export const nextAccountNumber = (number: AccountNumber): AccountNumber => numberOf(BigInt(number) + 1n)
