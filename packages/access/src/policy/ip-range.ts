/**
 * Ranges of IP addresses, version 4 and 6, in CIDR notation. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is
 * the IPv4 address: a dual-stack socket reports it that way.
 * Source  RFC 4632, RFC 4291 section 2.2.
 */
interface IpRange {
  readonly version: 4 | 6
  readonly bytes: readonly number[]
  readonly prefixBits: number
}

const OCTET = /^(?:0|[1-9]\d{0,2})$/
const GROUP = /^[0-9a-f]{1,4}$/i
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

function bytesOfV4(text: string): number[] | undefined {
  const octets = text.split(".")
  const isWhole = octets.length === 4 && octets.every(octet => OCTET.test(octet) && Number(octet) < 256)
  return isWhole ? octets.map(Number) : undefined
}

/** The bytes of one side of `::`, or of the whole address. */
function bytesOfGroups(text: string): number[] | undefined {
  if (text === "") return []
  const groups = text.split(":")
  const bytes: number[] = []
  for (const [index, group] of groups.entries()) {
    const embedded = index === groups.length - 1 && group.includes(".") ? bytesOfV4(group) : undefined
    if (embedded !== undefined) bytes.push(...embedded)
    else if (GROUP.test(group)) bytes.push(parseInt(group, 16) >> 8, parseInt(group, 16) & 0xff)
    else return undefined
  }
  return bytes
}

function bytesOfV6(text: string): number[] | undefined {
  const [head = "", tail, ...more] = text.split("::")
  if (more.length > 0) return undefined
  const before = bytesOfGroups(head)
  const after = tail === undefined ? [] : bytesOfGroups(tail)
  if (before === undefined || after === undefined) return undefined
  const missing = 16 - before.length - after.length
  if (tail === undefined ? missing !== 0 : missing < 2) return undefined
  return [...before, ...Array<number>(missing).fill(0), ...after]
}

/** Parses a single address; undefined if it is not one. A zone (`%eth0`) is ignored. */
export function parseIpAddress(text: string): IpRange | undefined {
  const v4 = bytesOfV4(text)
  if (v4 !== undefined) return { version: 4, bytes: v4, prefixBits: 32 }
  const v6 = bytesOfV6(text.split("%", 1)[0] ?? "")
  if (v6 === undefined) return undefined
  const isMapped = MAPPED.every((byte, index) => byte === v6[index])
  return isMapped ? { version: 4, bytes: v6.slice(12), prefixBits: 32 } : { version: 6, bytes: v6, prefixBits: 128 }
}

/** Parses `203.0.113.0/24`, `2001:db8::/32` or a single address; undefined for any other text. */
export function parseIpRange(text: string): IpRange | undefined {
  const [addressText = "", prefixText, ...more] = text.split("/")
  const address = parseIpAddress(addressText)
  if (address === undefined || more.length > 0 || addressText.includes("%")) return undefined
  if (prefixText === undefined) return address
  // A mapped address counts its prefix from the start of its 128 bits.
  const offset = address.version === 4 && addressText.includes(":") ? 96 : 0
  const prefixBits = Number(prefixText) - offset
  const isWithin = /^\d{1,3}$/.test(prefixText) && prefixBits >= 0 && prefixBits <= address.bytes.length * 8
  return isWithin ? { ...address, prefixBits } : undefined
}

export function isWithin(address: IpRange, range: IpRange): boolean {
  if (address.version !== range.version) return false
  for (let bit = 0; bit < range.prefixBits; bit += 8) {
    const mask = bit + 8 <= range.prefixBits ? 0xff : (0xff << (8 - (range.prefixBits - bit))) & 0xff
    const [a = 0, b = 0] = [address.bytes[bit >> 3], range.bytes[bit >> 3]]
    if ((a & mask) !== (b & mask)) return false
  }
  return true
}
