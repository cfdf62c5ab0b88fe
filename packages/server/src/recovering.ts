/**
 * Recovering: opens a store again, in its process and behind its open ports, whose metadata log has failed on every device
 * that holds it.
 *
 * Promises  The log is opened by the rules of a start, which find out what of the last batch is on the disks. Before that
 *           every call on the folders has ended, also those that were given up, and every thread that works on them: no
 *           write of before reaches a disk behind what is written afterwards.
 */
import { mapBounded, type BackgroundService } from "@hayloft/base/life/index.js"
import { nextBeat } from "@hayloft/base/seams/clock/beats.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import { votingIds } from "@hayloft/engine/device/index.js"
import type { Conversion, Switch } from "./conversion.js"
import type { Front } from "./threads/front.js"
import { answersOf, RecoveryCore, type Answers } from "./recovering-core.js"
import { closeWholly, openUntilOpen } from "./reopen.js"
import { StoreSession, type SessionHost } from "./store-session.js"

const CHECK_EVERY_MS = 1_000
/** A test of a device writes a file. */
const TEST_EVERY_MS = 2_000
const WAITS = "the metadata log has failed; the store is being opened again"

export class Recovering implements BackgroundService {
  readonly name = "recovering"
  private readonly core = new RecoveryCore()
  private readonly wanted = new Set<() => void>()
  private isOpening = false

  /** `signal`: the process stops. */
  constructor(
    private readonly host: SessionHost,
    private readonly session: () => StoreSession,
    private readonly conversion: Conversion,
    private readonly signal: AbortSignal,
  ) {}

  /** Returns why the process should be restarted; undefined: it is alive. */
  get unhealthy(): string | undefined {
    if (this.host.stalls.isStalling) return undefined
    return this.core.unhealthy(this.host.seams.clock.monotonicMs())
  }

  /** Resolves when the session has to end for another one. */
  async next(): Promise<Switch> {
    await new Promise<void>(resolve => this.wanted.add(resolve))
    return async (session, front) => {
      this.isOpening = true
      try {
        return await this.openAgain(session, front)
      } finally {
        this.isOpening = false
      }
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, telemetry } = this.host.seams
    while (!signal.aborted) {
      await nextBeat(clock, CHECK_EVERY_MS, signal)
      const session = this.session()
      // On several nodes the database has the log, and others may be away.
      if (signal.aborted || session.store.node !== undefined || this.isOpening || this.conversion.isSwitching) continue
      const { engine } = session.running
      const isLogFailed = engine.tablet?.isHalted === true
      const trouble = isLogFailed ? engine.metadata.trouble : engine.outOfReach
      const answers = trouble === undefined ? "all" : await this.answers(session)
      if (this.core.see({ nowMs: clock.monotonicMs(), trouble, isLogFailed, answers })) {
        telemetry.log.warn("store_opens_again", { reason: trouble })
        for (const resolve of this.wanted) resolve()
        this.wanted.clear()
      }
      if (trouble !== undefined) await clock.sleep(TEST_EVERY_MS, signal)
    }
  }

  private async answers({ running }: StoreSession): Promise<Answers> {
    const { record } = running.engine.recordManager
    if (this.host.stalls.hasCalls()) return "too few"
    const answering = new Set<DeviceId>()
    await mapBounded(record.devices, DEVICES_MAX, async ({ id, pathHint }) => {
      try {
        await unlessFull(
          () => running.probe(id, pathHint),
          () => undefined,
        )
        answering.add(id)
      } catch {
        // Every other failure means that the device does not answer.
      }
    })
    const withMetadata = record.tablets.flatMap(({ replicas }) => replicas.map(({ id }) => id))
    return answersOf(votingIds(record), withMetadata, answering)
  }

  private async openAgain(session: StoreSession, front: Front): Promise<StoreSession> {
    const { clock, telemetry } = this.host.seams
    const { config } = session
    this.conversion.storeTime = session.running.engine.services.storeClock.time
    await front.hold(WAITS)
    await closeWholly(clock, this.signal, session)
    const open = () => StoreSession.open(this.host, config)
    const next = await openUntilOpen(clock, this.signal, [open], reason =>
      telemetry.log.error("store_not_opened", { reason: reason.message }),
    )
    front.use(next)
    this.conversion.use(next)
    telemetry.log.info("store_opened_again", { metadata: "devices" })
    return next
  }
}
