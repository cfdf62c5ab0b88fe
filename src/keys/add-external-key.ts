/** Registers a key of an external service under an alias, after it has been tried. */
import { fail } from "../base/failures.js"
import type { ExternalKeys } from "./external-keys.js"
import { isAliasName, S3_ALIAS } from "./key-names.js"
import { defaultPolicy, type KeyHolder, type NamedKey } from "./key-policies.js"
import type { KeyService } from "./key-service.js"
import type { KeyServiceName } from "./service-calls.js"

const VAULT_KEY = /^[A-Za-z0-9_.-]{1,128}$/
const AWS_KEY = /^arn:[a-z-]{3,20}:kms:[a-z0-9-]{1,64}:\d{12}:key\/[A-Za-z0-9-]{1,128}$/

interface ExternalKeyRequest {
  readonly holder: KeyHolder
  /** `alias/NAME` */
  readonly alias: string
  readonly service: KeyServiceName
  /** In Vault; of AWS the ARN. */
  readonly keyName: string
}

/**
 * The registered key; the same one if it is registered already. Throws what a provider throws, `invalidArgument`,
 * `entityExists` if the alias names another key, `limitExceeded`.
 */
export async function addExternalKey(
  keys: Pick<KeyService, "create">,
  external: Pick<ExternalKeys, "tryKey">,
  { holder, alias, service, keyName }: ExternalKeyRequest,
): Promise<NamedKey> {
  if (!isAliasName(alias) || alias === S3_ALIAS)
    throw fail("invalidArgument", { message: `${alias} is not a name for a key: alias/ and letters, digits, / _ -` })
  if (!(service === "vault" ? VAULT_KEY : AWS_KEY).test(keyName))
    throw fail("invalidArgument", {
      message:
        service === "vault" ? `${keyName} is not a key of Vault` : `${keyName} is not the ARN of a key of AWS KMS`,
    })
  await external.tryKey(service, keyName)
  const policy = defaultPolicy(holder.accountNumber)
  const place = { kind: service, name: keyName } as const
  const found = await keys.create({ holder, description: "", policy, tags: [], external: place }, alias)
  const { external: existing } = found.record
  if (existing?.kind === service && existing.name === keyName) return found
  throw fail("entityExists", { message: `${alias} names another key` })
}
