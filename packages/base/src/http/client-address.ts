/**
 * The client behind an address, for what clients share: an IPv4 address, or the first 64 bits of an IPv6 address. One
 * subscriber or host has at least all addresses of such a prefix (RFC 4291 section 2.5.1, RFC 6177 section 2), and could
 * else be as many clients as it likes. Pure.
 */

const PREFIX_GROUPS = 4
const ALL_GROUPS = 8
/** How a socket for both protocols shows IPv4 addresses (RFC 4291 section 2.5.5.2). */
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/** `address` as a socket has it: compressed, perhaps with a zone. */
export function clientOf(address: string): string {
  if (!address.includes(":")) return address
  const mapped = MAPPED.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  const [plain = ""] = address.split("%")
  const [before = "", after] = plain.split("::")
  const groups = groupsOf(before)
  if (after !== undefined) groups.push(...Array<string>(missing(groups, after)).fill("0"), ...groupsOf(after))
  return `${groups.slice(0, PREFIX_GROUPS).join(":")}::/64`
}

const groupsOf = (text: string): string[] => (text === "" ? [] : text.split(":"))

/** The number of zeros that `::` stands for; a dotted end is two groups. */
const missing = (groups: readonly string[], after: string): number =>
  Math.max(0, ALL_GROUPS - groups.length - groupsOf(after).length - (after.includes(".") ? 1 : 0))
