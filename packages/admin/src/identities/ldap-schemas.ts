/** Schemas of people and groups of an LDAP directory, and their policies. */
import { z } from "zod"

const DN = z.string().min(1).max(2_048).describe("the DN of a person or a group: uid=ann,ou=people,dc=example,dc=org")

export const ENTRY_POLICY = z
  .strictObject({
    dn: DN,
    policy: z.string().min(1).max(2_048).describe("the ARN or the name of a managed policy of the root account"),
  })
  .meta({ id: "LdapEntryPolicy" })

export const LDAP_ENTRY = z
  .object({ dn: z.string().describe("in its normal form"), attached: z.array(z.string()).describe("ARNs of policies") })
  .meta({ id: "LdapEntry" })

export const LDAP_ENTRIES = z
  .object({ entries: z.array(LDAP_ENTRY), next: z.string().optional().describe("`after` of the next page") })
  .meta({ id: "LdapEntries" })

export const LDAP_NAME = z
  .strictObject({ name: z.string().min(1).max(256).describe("as it is typed at the sign-in") })
  .meta({ id: "LdapName" })

export const LDAP_PERSON = z
  .object({
    dn: z.string().describe("as the directory spells it"),
    userName: z.string().describe("ldap:username in policies"),
    groups: z.array(z.string()).describe("DNs in their normal form"),
    entries: z
      .array(LDAP_ENTRY)
      .describe("the person and those groups that have policies; none: the sign-in is refused"),
  })
  .meta({ id: "LdapPerson" })
