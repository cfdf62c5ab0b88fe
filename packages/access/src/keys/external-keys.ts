/** The external key services of a store: those that its settings name, with their limits, and one memory of opened keys. */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Counter, Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import type { WebServices } from "@hayloft/base/seams/web/contract.js"
import { AwsKeys, type AwsSettings } from "./aws.js"
import type { EncryptionContext } from "./encryption-context.js"
import { KeepingProvider, OpenedKeys } from "./opened-keys.js"
import type { KeyProvider, ProviderKey } from "./provider.js"
import { ServiceCalls, type KeyServiceName, type KeyServiceReport } from "./service-calls.js"
import { ServiceFile } from "./service-file.js"
import { VaultKeys, type VaultSettings } from "./vault.js"

interface ExternalKeySettings {
  readonly vault: VaultSettings | undefined
  readonly aws: AwsSettings | undefined
  /** How long opened data keys are kept; 0: not at all. */
  readonly keepMs: number
}

interface ExternalKeySeams {
  readonly clock: Clock
  readonly disk: Disk
  readonly random: Random
  readonly telemetry: Telemetry
  readonly web: WebServices
}

const TRIAL: EncryptionContext = [["hayloft", "trial"]]
const OTHER_TRIAL: EncryptionContext = [["hayloft", "other"]]

const VAULT_KEY = /^[A-Za-z0-9_.-]{1,128}$/
const AWS_KEY = /^arn:[a-z-]{3,20}:kms:[a-z0-9-]{1,64}:\d{12}:key\/[A-Za-z0-9-]{1,128}$/

function checkName(service: KeyServiceName, name: string): void {
  if ((service === "vault" ? VAULT_KEY : AWS_KEY).test(name)) return
  const what = service === "vault" ? "a key in Vault" : "the ARN of a key in AWS KMS"
  throw fail("invalidArgument", { message: `"${name.slice(0, 128)}" is not ${what}` })
}

const unfit = (service: string, what: string): Failure =>
  fail("kmsKeyState", { message: `the key service ${service} ${what}` })

interface Service {
  /** Keeps opened keys. */
  readonly provider: KeyProvider
  /** Asks the service each time. */
  readonly direct: KeyProvider
  readonly calls: ServiceCalls
}

export class ExternalKeys {
  private readonly services = new Map<KeyServiceName, Service>()
  private readonly ended: Counter
  private readonly opened: OpenedKeys

  constructor(
    private readonly seams: ExternalKeySeams,
    { vault, aws, keepMs }: ExternalKeySettings,
  ) {
    this.opened = new OpenedKeys(seams.clock, keepMs)
    const { metrics } = seams.telemetry
    this.ended = metrics.counter("hayloft_kms_calls_total", "Calls of external key services, by outcome")
    const unreachable = "How long a key service has been unreachable"
    const times = () =>
      [...this.services.values()].map(({ calls }) => [{ service: calls.name }, calls.unreachableMs / 1000] as const)
    metrics.gauge("hayloft_kms_unreachable_seconds", unreachable, times, "largest")
    if (vault !== undefined) this.add("vault", calls => this.vault(vault, calls))
    if (aws !== undefined) this.add("aws", calls => this.aws(aws, calls))
  }

  /** Throws `keyServiceUnavailable` if this node has no settings for the service. */
  provider(name: KeyServiceName): KeyProvider {
    return this.service(name).provider
  }

  /**
   * Tries a key before it is used: makes a data key, opens it, and checks that another context does not. Throws what a
   * provider throws, `invalidArgument` for a name that no key has, and `kmsKeyState` if the service does not keep to the
   * interface.
   */
  async tryKey(serviceName: KeyServiceName, key: ProviderKey): Promise<void> {
    checkName(serviceName, key.name)
    const { direct } = this.service(serviceName)
    const { plain, ciphertext } = await direct.newDataKey(key, TRIAL)
    const opened = await direct.open(key, ciphertext, TRIAL)
    if (!equalBytes(opened, plain)) throw unfit(serviceName, "opens another data key than it made")
    try {
      await direct.open(key, ciphertext, OTHER_TRIAL)
    } catch (error) {
      if (isFailure(error, "invalidCiphertext")) return
      throw error
    }
    throw unfit(serviceName, "ignores the encryption context")
  }

  private service(name: KeyServiceName): Service {
    const service = this.services.get(name)
    if (service !== undefined) return service
    throw fail("keyServiceUnavailable", { message: `the key service ${name} is not configured on this node` })
  }

  report(): readonly KeyServiceReport[] {
    return [...this.services.values()].map(({ calls }) => calls.report())
  }

  /** Drops all opened keys. */
  close(): void {
    this.opened.close()
  }

  private add(name: KeyServiceName, providerOf: (calls: ServiceCalls) => KeyProvider): void {
    const calls = new ServiceCalls(name, this.seams.clock, this.seams.telemetry.log, this.ended)
    const direct = providerOf(calls)
    this.services.set(name, { provider: new KeepingProvider(name, direct, this.opened), direct, calls })
  }

  private vault(settings: VaultSettings, calls: ServiceCalls): KeyProvider {
    const { web, random } = this.seams
    const { tokenFile, authoritiesFile } = settings
    const files = {
      token: this.file(tokenFile),
      authorities: authoritiesFile === undefined ? undefined : this.file(authoritiesFile),
    }
    return new VaultKeys(settings, files, web, random.fork("vault"), calls)
  }

  private aws(settings: AwsSettings, calls: ServiceCalls): KeyProvider {
    return new AwsKeys(settings, this.file(settings.credentialsFile), this.seams, calls)
  }

  private file(path: string): ServiceFile {
    return new ServiceFile(this.seams.disk, this.seams.clock, path)
  }
}
