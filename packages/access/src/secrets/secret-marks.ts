/** Marks of secrets: whether what was derived from a key was derived from the secret that it has now. */
import { digestOnce } from "@hayloft/base/seams/compute/index.js"

export const markOf = (use: "console session" | "session", secret: string): Uint8Array =>
  Buffer.from(digestOnce("sha256", Buffer.from(`${use} ${secret}`, "utf8"), "hex"), "hex")

export const isSameMark = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0
