/**
 * Addresses of the public internet, as opposed to those of this machine and of its networks.
 *
 * Sources  IANA's special-purpose address registries for IPv4 and IPv6. Of IPv6 only addresses for global use
 *          (2000::/3) count as public, so mapped, link-local, unique-local and multicast addresses do not.
 */
import { BlockList, isIPv6 } from "node:net"

const NOT_PUBLIC = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
  // A public number, but in Azure it is every machine's own host.
  "168.63.129.16/32",
  // IETF protocols (Teredo among them), documentation, 6to4: the latter contain IPv4 addresses.
  "2001::/23",
  "2001:db8::/32",
  "2002::/16",
  "3fff::/20",
]
const GLOBAL_IPV6 = ["2000::/3"]

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [network = "", bits = ""] = range.split("/")
    list.addSubnet(network, Number(bits), isIPv6(network) ? "ipv6" : "ipv4")
  }
  return list
}

/** They are made for the first address: Node's checks of addresses take milliseconds to prepare. */
let lists: { readonly notPublic: BlockList; readonly globalIpv6: BlockList } | undefined

/** The text must be an address. */
export function isPublicAddress(address: string): boolean {
  lists ??= { notPublic: listOf(NOT_PUBLIC), globalIpv6: listOf(GLOBAL_IPV6) }
  return isIPv6(address)
    ? lists.globalIpv6.check(address, "ipv6") && !lists.notPublic.check(address, "ipv6")
    : !lists.notPublic.check(address, "ipv4")
}
