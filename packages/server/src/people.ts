/** The people of the LDAP directory that the settings name, whose sessions the keys of a store then accept. */
import { LdapPeople, type People } from "@hayloft/access/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { RealLdap } from "@hayloft/base/seams/ldap/real.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { ServeConfig } from "@hayloft/node/config/index.js"
import type { Engine } from "@hayloft/node/engine.js"

interface Seams {
  readonly clock: Pick<Clock, "wallMs" | "monotonicMs" | "sleep">
  readonly log: Log
}

/** Returns undefined if no directory is configured. */
export function peopleOf(
  { clock, log }: Seams,
  { ldap: settings }: Pick<ServeConfig, "ldap">,
  accounts: Pick<Engine["accounts"], "admit">,
): People | undefined {
  if (settings === undefined) return undefined
  const people = new LdapPeople(settings, { ldap: new RealLdap(), clock, log })
  accounts.admit(people)
  return people
}
