/** Settings of `hayloft serve` for sign-in by an LDAP directory: a part of the table `SETTINGS`. */
import { list, setting, type Setting } from "./setting.js"

export const LDAP_SETTINGS = {
  ldapServer: {
    ...list(
      "--ldap-server",
      "HAYLOFT_LDAP_SERVER",
      "URL",
      undefined,
      "let people of this LDAP directory or Active Directory sign in by name and password: ldaps://HOST[:PORT], or ldap://HOST[:PORT] with StartTLS; of several, the first that answers; needs --ldap-user-base",
    ),
    secret: "user",
  },
  ldapTls: setting(
    "--ldap-tls",
    "HAYLOFT_LDAP_TLS",
    "verified|unverified|off",
    "verified",
    "how connections to the directory are protected; unverified accepts any certificate, and off sends passwords in plain text",
  ),
  ldapCaFile: {
    ...setting(
      "--ldap-ca-file",
      "HAYLOFT_LDAP_CA_FILE",
      "FILE",
      undefined,
      "file (PEM) with the certificate authorities that may have signed the directory's certificate (default: those that Node.js trusts)",
    ),
    isReread: true,
  },
  ldapBindDn: setting(
    "--ldap-bind-dn",
    "HAYLOFT_LDAP_BIND_DN",
    "DN",
    undefined,
    "the account that searches the directory (default: searches without an account)",
  ),
  ldapBindPassword: {
    ...setting(undefined, "HAYLOFT_LDAP_BIND_PASSWORD", "PASSWORD", undefined, "the password of --ldap-bind-dn"),
    secret: "value",
  },
  ldapUserBase: setting(
    "--ldap-user-base",
    "HAYLOFT_LDAP_USER_BASE",
    "DN",
    undefined,
    "the entry below which people are; of several, with ; between them",
  ),
  ldapUserFilter: setting(
    "--ldap-user-filter",
    "HAYLOFT_LDAP_USER_FILTER",
    "FILTER",
    "(uid=%s)",
    "finds the entry of a person; %s is the name that is typed",
  ),
  ldapUserAttribute: setting(
    "--ldap-user-attribute",
    "HAYLOFT_LDAP_USER_ATTRIBUTE",
    "NAME",
    undefined,
    "the attribute that is the person's name in policies, ldap:username (default: the one that the filter compares with the name)",
  ),
  ldapGroupBase: setting(
    "--ldap-group-base",
    "HAYLOFT_LDAP_GROUP_BASE",
    "DN",
    undefined,
    "the entry below which groups are; of several, with ; between them (default: groups do not count)",
  ),
  ldapGroupFilter: setting(
    "--ldap-group-filter",
    "HAYLOFT_LDAP_GROUP_FILTER",
    "FILTER",
    "(&(objectClass=groupOfNames)(member=%d))",
    "finds the groups of a person; %d is the person's DN, %s the name that was typed",
  ),
  ldapTimeout: setting(
    "--ldap-timeout",
    "HAYLOFT_LDAP_TIMEOUT",
    "DURATION",
    "5s",
    "how long a connection to the directory, and each of its answers, may take",
  ),
} as const satisfies Record<string, Setting>
