/** Stall scenarios: disks that stop at one moment, because of what they share, and go on. */
import type { DeviceCondition } from "@hayloft/base/seams/disk/index.js"
import { check } from "./checks.js"
import { Scene } from "./disk-scenarios.js"

const RECOVERY_MS = 10_000

/** The disks stop together, and recover slowly. */
function stall(on: Scene, bays: readonly string[], stallMs: number): void {
  const become = (state: DeviceCondition): void => bays.forEach(bay => on.setState(bay, state))
  become("hung")
  const { clock } = on.machine
  clock.alarm(stallMs, () => become("slow"))
  clock.alarm(stallMs + RECOVERY_MS, () => become("well"))
}

function checkNoneOffline(on: Scene): void {
  const lacking = on.devices.filter(({ state }) => state !== "active")
  check("writesContinue", lacking.length === 0, () => `${lacking.length} devices are not active after a stall`)
}

/** All disks, or a group without which the store cannot go on, stop, also at a start, and recover slowly. */
export async function stalledDisks(seed: number): Promise<void> {
  const on = await Scene.open(seed, 4)
  await on.putSome("before")
  const all = ["/d1", "/d2", "/d3", "/d4"]
  for (const [group, stallMs] of [
    [all, 8_000],
    [all, 300_000],
    [all.slice(1), 60_000],
  ] as const) {
    stall(on, group, stallMs)
    await on.putSome(`during ${stallMs}`)
    await on.pass(RECOVERY_MS)
    checkNoneOffline(on)
    await on.readAll()
  }
  stall(on, all, 20_000)
  await on.pass(5_000)
  on.machine.crash()
  await on.start()
  await on.pass(RECOVERY_MS)
  checkNoneOffline(on)
  await on.readAll()
  await on.putSome("after")
}
