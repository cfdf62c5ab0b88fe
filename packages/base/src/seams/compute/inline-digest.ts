/**
 * Digests of short byte strings, in one call if the runtime supports it (Node from 20.12 on): making a hash
 * object costs more than hashing a few hundred bytes.
 */
import * as crypto from "node:crypto"

/** `binary`: one character for each byte. */
type DigestEncoding = "hex" | "binary"

export const digestOnce =
  typeof crypto.hash === "function"
    ? (algorithm: "md5" | "sha256", bytes: Uint8Array, encoding: DigestEncoding): string =>
        crypto.hash(algorithm, bytes, encoding)
    : (algorithm: "md5" | "sha256", bytes: Uint8Array, encoding: DigestEncoding): string =>
        crypto.createHash(algorithm).update(bytes).digest(encoding)
