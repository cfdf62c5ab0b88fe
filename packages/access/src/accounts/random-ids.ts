/** Generates random ids and secrets of accounts, keys and identities. */
import { parseAccessKeyId, type AccessKeyId } from "@hayloft/base/ids.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

export const KEY_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
const SECRET_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/** Text of uniformly random letters. */
export function randomText(random: Random, letters: string, length: number): string {
  return Array.from({ length }, () => letters[random.below(letters.length)]).join("")
}

export const randomAccessKeyId = (random: Random): AccessKeyId =>
  parseAccessKeyId(`HL${randomText(random, KEY_LETTERS, 18)}`)
export const randomSecret = (random: Random): string => randomText(random, SECRET_LETTERS, 40)
/** For temporary credentials. */
export const randomTemporaryKeyId = (random: Random): AccessKeyId =>
  parseAccessKeyId(`ASIA${randomText(random, KEY_LETTERS, 16)}`)
