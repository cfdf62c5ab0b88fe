/** FNV-1a of 32 bits (http://www.isthe.com/chongo/tech/comp/fnv/): a quick hash that spreads, and keeps no secret. */

const [BASIS, PRIME] = [0x811c9dc5, 0x01000193]

/** The hash of a text whose characters are bytes; other characters count whole. */
export function fnv1a(text: string): number {
  let hash = BASIS
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), PRIME)
  return hash >>> 0
}
