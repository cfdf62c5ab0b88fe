/** Settings of `hayloft serve` for Swift: a part of the table `SETTINGS`. */
import { list, setting, type Setting, toggle } from "./setting.js"

export const SWIFT_SETTINGS = {
  swiftListen: setting(
    "--swift-listen",
    "HAYLOFT_SWIFT_LISTEN",
    "HOST:PORT",
    undefined,
    "address of OpenStack Swift's API (default: it is not served)",
  ),
  swiftKeystone: {
    ...setting(
      "--swift-keystone",
      "HAYLOFT_SWIFT_KEYSTONE",
      "URL",
      undefined,
      "Keystone whose tokens Swift accepts, with its version (https://keystone.example:5000/v3)",
    ),
    secret: "user",
  },
  swiftOperatorRole: list(
    "--swift-operator-role",
    "HAYLOFT_SWIFT_OPERATOR_ROLE",
    "NAME",
    undefined,
    "role of Keystone that may do everything in its project's account (default: admin and member)",
  ),
  swiftReaderRole: list(
    "--swift-reader-role",
    "HAYLOFT_SWIFT_READER_ROLE",
    "NAME",
    undefined,
    "role of Keystone that may read everything in its project's account (default: reader)",
  ),
  swiftResellerAdminRole: list(
    "--swift-reseller-admin-role",
    "HAYLOFT_SWIFT_RESELLER_ADMIN_ROLE",
    "NAME",
    undefined,
    "role of Keystone that may do everything in every account (default: none)",
  ),
  swiftResellerReaderRole: list(
    "--swift-reseller-reader-role",
    "HAYLOFT_SWIFT_RESELLER_READER_ROLE",
    "NAME",
    undefined,
    "role of Keystone that may read everything in every account (default: none)",
  ),
  swiftServiceAccounts: toggle(
    "--swift-service-accounts",
    "HAYLOFT_SWIFT_SERVICE_ACCOUNTS",
    "serve accounts of services (SERVICE_), which need the token of a service (X-Service-Token) beside a user's",
  ),
  swiftServiceRole: list(
    "--swift-service-role",
    "HAYLOFT_SWIFT_SERVICE_ROLE",
    "NAME",
    undefined,
    "role of Keystone that makes its holder a service (default: service)",
  ),
  swiftInfoKey: {
    ...setting(
      undefined,
      "HAYLOFT_SWIFT_INFO_KEY",
      "KEY",
      undefined,
      "key by which administrators sign requests for Swift's /info, 8 to 128 characters (default: there are none)",
    ),
    secret: "value",
  },
  swiftHideInfo: list(
    "--swift-hide-info",
    "HAYLOFT_SWIFT_HIDE_INFO",
    "SECTION",
    undefined,
    "section of Swift's /info that only administrators see, as tempurl or swift.policies (default: none)",
  ),
  swiftSyncRealms: setting(
    "--swift-sync-realms",
    "HAYLOFT_SWIFT_SYNC_REALMS",
    "FILE",
    undefined,
    "clusters with which containers may be synchronized, in a file as OpenStack's container-sync-realms.conf",
  ),
  swiftAllowSha1: toggle(
    "--swift-allow-sha1",
    "HAYLOFT_SWIFT_ALLOW_SHA1",
    "temporary URLs and forms of Swift may be signed with SHA-1 too, for old clients",
  ),
} as const satisfies Record<string, Setting>
