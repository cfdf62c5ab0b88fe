/** Named keys of a store: their materials in its control record, their rows in its metadata, and what uses them. */
import type { Access } from "@hayloft/access/index.js"
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { DataKeys, EpochKeys, ObjectKeys } from "@hayloft/access/keys/contract.js"
import {
  KeyAdmin,
  KeyPolicies,
  KeyService,
  KeyTroubles,
  KeyUpkeep,
  NamedS3Keys,
  openObjectKeys,
  type ExternalKeys,
  type NamedKeys,
  type OpenedObjectKeys,
  type S3Keys,
} from "@hayloft/access/keys/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { StoreServices } from "@hayloft/features/index.js"
import { EncryptionKeyUses, shownDueTimeMs } from "@hayloft/objects/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { SharedMetadata } from "../metadata/database.js"
import { RecordKeyMaterials } from "./key-materials.js"
import type { RecordManager } from "./record-manager.js"

export interface NamedKeySettings {
  /** In ARNs. */
  readonly region: string
  readonly external: Pick<ExternalKeys, "provider" | "tryKey">
}

interface Seams {
  readonly clock: Clock
  readonly random: Random
  readonly telemetry: { readonly log: Log }
}

interface Sources {
  readonly records: RecordManager
  readonly epochs: EpochKeys
  /** The node of a store of several nodes. */
  readonly node: { readonly records: { refresh(): Promise<void> } } | undefined
  /** The settings are undefined in simulation: there is no key service, and the region is `REGION_OF_NONE`. */
  readonly settings: NamedKeySettings | undefined
}

const REGION_OF_NONE = "us-east-1"

const noService = (kind: string) =>
  fail("keyServiceUnavailable", { message: `the key service ${kind} is not configured on this node` })

interface Opened {
  readonly service: KeyService
  readonly policies: KeyPolicies
  readonly s3: S3Keys
  readonly admin: NamedKeys
  readonly upkeep: KeyUpkeep
}

export class NamedKeyStore {
  /** Buckets whose keys are unavailable. */
  readonly troubles: KeyTroubles
  private readonly random: Random
  private keys: OpenedObjectKeys | undefined
  private opened: Opened | undefined

  constructor(
    private readonly seams: Seams,
    private readonly sources: Sources,
  ) {
    this.random = seams.random.fork("named keys")
    this.troubles = new KeyTroubles(seams.clock, seams.telemetry.log)
  }

  /** For a reconciliation. */
  duringHalt(shared: SharedMetadata) {
    const { duringHalt: metadata } = shared
    const known = {
      run: metadata.run.bind(metadata),
      known: metadata.ask.bind(metadata),
      get generation() {
        return shared.generation
      },
    }
    return { metadata, keys: this.objectKeys(known) }
  }

  /** Named keys are found once the accounts are open. */
  objectKeys(metadata: Pick<Metadata, "known" | "run" | "generation">): ObjectKeys {
    const { clock, random } = this.seams
    const dataKeys: DataKeys = {
      newDataKey: (keyArn, context) => this.of("service").newDataKey(keyArn, context),
      openDataKey: (keyArn, ciphertext, context) => this.of("service").openDataKey(keyArn, ciphertext, context),
    }
    const sources = { epochs: this.sources.epochs, dataKeys }
    this.keys = openObjectKeys({ metadata, clock, random: random.fork("keys") }, sources)
    return this.troubles.watching(this.keys.keys)
  }

  /** Call after this process has changed secrets of buckets: none that was opened before is used again. */
  forgetSecrets(): void {
    this.keys?.forgetSecrets()
  }

  /** Returns what else the store does for its keys. */
  open(
    { tablet: metadata, storeClock }: Pick<StoreServices, "tablet" | "storeClock">,
    { accounts }: Access,
    rootAccount: AccountId,
  ): KeyUpkeep {
    const { clock } = this.seams
    const { random } = this
    const { records, epochs, node, settings } = this.sources
    const refresh = node && (() => node.records.refresh())
    const materials = new RecordKeyMaterials({ records, epochs, refresh, clock, random: random.fork("materials") })
    const external = (kind: "vault" | "aws") => {
      if (settings === undefined) throw noService(kind)
      return settings.external.provider(kind)
    }
    const region = settings?.region ?? REGION_OF_NONE
    const service = new KeyService({ metadata, random, materials, accounts, region, external })
    const policies = new KeyPolicies()
    const uses = new EncryptionKeyUses(metadata)
    const tryExternal: ConstructorParameters<typeof KeyAdmin>[4] = async ({ kind, name }, id) => {
      if (settings === undefined) throw noService(kind)
      await settings.external.tryKey(kind, { id, name, version: 1 })
    }
    const dueTimeMs = () => shownDueTimeMs({ clock, storeClock })
    const upkeep = new KeyUpkeep(service, () => uses.countOnEveryReplica(), clock, dueTimeMs)
    const admin = new KeyAdmin(
      service,
      accounts,
      rootAccount,
      () => uses.count(),
      tryExternal,
      () => upkeep.orphans(),
    )
    this.opened = { service, policies, s3: new NamedS3Keys(service, policies), admin, upkeep }
    return upkeep
  }

  of<Part extends keyof Opened>(part: Part): Opened[Part] {
    return must(this.opened, "the accounts are open")[part]
  }
}
