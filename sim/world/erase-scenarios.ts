/**
 * Buckets with encrypted objects are erased, while their process is killed, loses its power, or ends at any moment, and
 * while disks are taken out and come back. Somebody who has every disk and the master key looks for their secrets.
 */
import { must } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { objectKeyOfText, parseAccountId, parseBucketName, type BucketId, type BucketName } from "@hayloft/base/ids.js"
import { BUCKET_SECRET, purposeOfSecret } from "@hayloft/engine/format/objects/bucket-key.js"
import { openBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { Engine } from "@hayloft/node/engine.js"
import { epochKeysIn, filesBelow, sealedSecret } from "@hayloft/node/erase/testing-erasure.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { bodyBytes, find, nameOfBody, putRequest, sourceOf } from "./bodies.js"
import { check, kindOf } from "./checks.js"
import type { Drive } from "./drives.js"
import { StoreMachine, type ServedStore } from "./store-machine.js"

const OWNER = parseAccountId("root")
const DEVICES = 4
const STEPS = 40
const PASS_MS_MAX = 4_000
/** A process may end in the middle of the beginning of an erasure. */
const MOMENT_MS_MAX = 400
const [SMALL, LARGE] = [1_000, 150_001]
const END_MS_MAX = 60 * 60_000
const LOOK_MS = 5_000

interface EncryptedBucket {
  readonly name: BucketName
  readonly id: BucketId
  /** Keys, which are also the names of the bodies. */
  readonly keys: string[]
  /** Its secret, under each key that ever sealed it. */
  readonly sealed: Uint8Array[]
}

class ErasedBuckets {
  private readonly machine: StoreMachine
  private readonly random: Random
  private store: ServedStore | undefined
  private open: readonly EncryptedBucket[] = []
  private erased: readonly EncryptedBucket[] = []
  /** Its erasure was asked for, and not answered. */
  private doubtful: EncryptedBucket | undefined
  private absent: { readonly bay: string; readonly drive: Drive } | undefined
  private made = 0

  constructor(seed: number) {
    this.machine = new StoreMachine({ seed, devices: DEVICES, latencyMsMax: 2 })
    this.random = this.machine.random.fork("erasures")
  }

  async run(): Promise<void> {
    await this.start()
    for (let step = 0; step < STEPS; step += 1) {
      await this.step()
      await this.look()
    }
    await this.restart(false)
    await this.untilErased()
    await this.readAll()
    const { mistakes } = this.machine
    check("noAssertionFails", mistakes.length === 0, () => String(mistakes[0]))
    await this.machine.run(this.machine.stop(this.serving))
  }

  private get serving(): ServedStore {
    return must(this.store, "the store runs")
  }

  private get engine(): Engine {
    return this.serving.engine
  }

  private step(): Promise<void> {
    switch (this.random.below(8)) {
      case 0:
        return this.make()
      case 1:
      case 2:
        return this.put(this.someBucket)
      case 3:
      case 4:
        return this.erase()
      case 5:
        return this.restart(this.random.below(2) === 0)
      default:
        return this.machine.pass(this.random.below(PASS_MS_MAX))
    }
  }

  private get someBucket(): EncryptedBucket | undefined {
    return this.open[this.random.below(Math.max(1, this.open.length))]
  }

  private async make(): Promise<void> {
    this.made += 1
    const name = parseBucketName(`bucket-${this.made}`)
    const { id } = await this.machine.run(this.engine.services.buckets.create({ name, owner: OWNER, location: "" }))
    const bucket = { name, id, keys: [], sealed: [] }
    this.open = [...this.open, bucket]
    await this.put(bucket)
  }

  private async put(bucket: EncryptedBucket | undefined): Promise<void> {
    if (bucket === undefined) return
    const { buckets, objects } = this.engine.services
    this.made += 1
    const key = `k${this.made}`
    const body = sourceOf(bodyBytes(key, this.random.below(2) === 0 ? SMALL : LARGE))
    const opened = await this.machine.run(buckets.open(bucket.name))
    const request = { ...putRequest(opened, objectKeyOfText(key), body), encryption: { mode: "s3" } as const }
    const failure = await this.machine.run(kindOf(objects.put(request)))
    check("writesContinue", failure === undefined, () => `a write ends with ${failure}`)
    bucket.keys.push(key)
  }

  private async erase(): Promise<void> {
    const bucket = this.someBucket
    if (bucket === undefined) return
    await this.learnSecrets()
    const begun = this.engine.erasures.begin(bucket.name, bucket.name)
    if (this.random.below(3) > 0) {
      await this.machine.run(begun)
      this.noteErased(bucket)
      return
    }
    this.doubtful = bucket
    const isAnswered = { yes: false }
    void begun.then(
      () => (isAnswered.yes = true),
      () => undefined,
    )
    await this.machine.pass(this.random.below(MOMENT_MS_MAX))
    await this.restart(true)
    const there = await this.machine.run(kindOf(asPromise(() => this.engine.services.buckets.open(bucket.name))))
    check("acknowledgedStays", there === "noSuchBucket" || !isAnswered.yes, () => `${bucket.name} is there again`)
    this.doubtful = undefined
    if (there === "noSuchBucket") this.noteErased(bucket)
  }

  private noteErased(bucket: EncryptedBucket): void {
    this.open = this.open.filter(each => each !== bucket)
    this.erased = [...this.erased, bucket]
  }

  /** Another erasure seals them again, under another key. */
  private async learnSecrets(): Promise<void> {
    for (const { id, sealed } of this.open) {
      const found = await this.machine.run(this.engine.metadata.ask(sealedSecret(id)))
      if (found !== undefined && !sealed.some(each => equalBytes(each, found))) sealed.push(found)
    }
  }

  private async look(): Promise<void> {
    await this.learnSecrets()
    const erased: EncryptedBucket[] = []
    for (const bucket of this.erased) if ((await this.stateOf(bucket)) === "erased") erased.push(bucket)
    this.attack(erased)
  }

  private async stateOf({ id }: EncryptedBucket): Promise<"erasing" | "erased"> {
    return (await this.machine.run(this.engine.erasures.state(id))).state
  }

  private attack(erased: readonly EncryptedBucket[]): void {
    if (erased.length === 0) return
    for (const drive of this.drives()) {
      const keys = epochKeysIn(filesBelow(drive.disk.medium, "/"), this.serving.opened.secrets.masterKey)
      for (const { name, id, sealed } of erased) {
        for (const [epoch, key] of keys) {
          const opens = sealed.some(bytes => openBytes(key, purposeOfSecret(id, BUCKET_SECRET), bytes) !== undefined)
          check("erasedIsClosed", !opens, () => `key ${epoch} on ${drive.name} opens ${name}`)
        }
      }
    }
  }

  private drives(): readonly Drive[] {
    const { bays, folders } = this.machine
    return [...folders.map(bay => bays.at(bay)), this.absent?.drive].filter(drive => drive !== undefined)
  }

  private async start(): Promise<void> {
    this.store = await this.machine.run(this.machine.start())
  }

  /** Disks are exchanged while no process runs. `mayMiss`: one of them may be out. */
  private async restart(mayMiss: boolean): Promise<void> {
    const how = this.random.below(3)
    if (how === 0 && this.doubtful === undefined) await this.machine.run(this.machine.stop(this.serving))
    else if (how === 1) this.machine.kill()
    else this.machine.crash()
    const { bays, folders } = this.machine
    if (this.absent !== undefined && (!mayMiss || this.random.below(2) === 0)) {
      bays.put(this.absent.bay, this.absent.drive)
      this.absent = undefined
    } else if (mayMiss && this.absent === undefined && this.random.below(3) === 0) {
      const bay = must(folders[this.random.below(folders.length)], "there are bays")
      this.absent = { bay, drive: bays.take(bay) }
    }
    await this.start()
    await this.readAll()
  }

  private async readAll(): Promise<void> {
    for (const { name, keys } of this.open.filter(each => each !== this.doubtful)) {
      const bucket = await this.machine.run(this.engine.services.buckets.open(name))
      for (const key of keys) {
        const got = await this.machine.run(find(this.engine, bucket, objectKeyOfText(key)))
        const seen = got && nameOfBody(got.bytes)
        check("acknowledgedStays", seen === key, () => `${name}/${key} shows ${seen}`)
      }
    }
  }

  private async untilErased(): Promise<void> {
    const untilMs = this.machine.clock.monotonicMs() + END_MS_MAX
    for (const bucket of this.erased) {
      while ((await this.stateOf(bucket)) !== "erased") {
        const { erasures } = this.engine
        check("erasureEnds", this.machine.clock.monotonicMs() < untilMs, () => erasures.progress())
        await this.machine.pass(LOOK_MS)
      }
    }
    this.attack(this.erased)
  }
}

export const erasedBuckets = (seed: number): Promise<void> => new ErasedBuckets(seed).run()
