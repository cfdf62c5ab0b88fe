/**
 * Golden tables: a plan never changes. A store plans its next layout from the present one, and two
 * programs must plan the same: a plan that differs after an upgrade would move data needlessly.
 *
 * Each line is the checksum of one table, recorded before placement supported domains.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { Disorder } from "./disorder.js"
import { deviceId, equal, weighted } from "./testing-devices.js"
import type { Layout, LayoutDevice } from "./layout.js"
import { planLayout, planNext, replaceDevice } from "./next-layout.js"

const sumOf = ({ width, table, devices }: Layout): string => {
  const ids = devices.map(id => parseInt(id, 16)).join(" ")
  const seed = xxh64(Buffer.from(`${width}: ${ids}`))
  return xxh64(Uint8Array.from(table), seed).toString(16).padStart(16, "0")
}

const ramp = (count: number) => weighted(Array.from({ length: count }, (_, i) => 1 + i))
const closed = (devices: readonly LayoutDevice[], ...indexes: readonly number[]): readonly LayoutDevice[] =>
  devices.map((device, i) => (indexes.includes(i) ? { ...device, mayGain: false } : device))

function* firstLayouts(): Generator<readonly [string, Layout]> {
  for (const [count, width] of [
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 3],
    [6, 6],
    [7, 6],
    [12, 6],
    [20, 14],
    [DEVICES_MAX, 14],
    [DEVICES_MAX, DEVICES_MAX],
  ] as const) {
    yield [`${count} equal, width ${width}`, planLayout(equal(count), width)]
    if (count <= 12) yield [`ramp of ${count}, width ${width}`, planLayout(ramp(count), width, 7)]
  }
  yield ["one too large", planLayout(weighted([100, 1, 1]), 2)]
  yield ["one without weight", planLayout(weighted([1, 0, 2, 3]), 2)]
  yield ["one that may not gain", planLayout(closed(ramp(5), 2), 3)]
  yield ["too few that may gain", planLayout(closed(ramp(5), 1, 2, 3), 3)]
  yield ["on all, of which one may not gain", planLayout(closed(ramp(4), 1), 4)]
}

function* transitions(): Generator<readonly [string, Layout]> {
  const before = planLayout(equal(6), 4)
  const gone = (...numbers: readonly number[]) => equal(6).filter((_, i) => !numbers.includes(i))
  yield ["one more", planNext(before, equal(7), 4, 2)]
  yield ["four more", planNext(before, equal(10), 4, 2)]
  yield ["as many as there may be", planNext(before, equal(DEVICES_MAX), 4, 2)]
  yield ["one less", planNext(before, gone(3), 4, 2)]
  yield ["two less", planNext(before, gone(0, 5), 4, 2)]
  yield ["one out of two new ones", planNext(planNext(before, equal(8), 4, 2), equal(7), 4, 3)]
  yield ["other weights", planNext(before, ramp(6), 4, 2)]
  yield ["one twenty times as large", planNext(before, weighted([20, 1, 1, 1, 1, 1]), 4, 2)]
  yield ["wider", planNext(before, equal(6), 6, 2)]
  yield ["narrower", planNext(before, equal(6), 2, 2)]
  yield ["one more and wider", planNext(before, equal(7), 6, 2)]
  yield ["two out, one gone", planNext(before, closed(equal(6), 1, 2).slice(1), 4, 2)]
  yield ["three out, and wider", planNext(before, closed(equal(6), 1, 2, 3), 5, 2)]
  yield ["one out that should hold more", planNext(before, closed(weighted([1, 1, 9, 1, 1, 1]), 2), 4, 2)]
  yield ["one replaced, then one more", planNext(replaceDevice(before, deviceId(2), deviceId(9), 2), equal(7), 4, 3)]
  const large = planLayout(equal(DEVICES_MAX), 14)
  yield ["all other weights", planNext(large, ramp(DEVICES_MAX), 14, 2)]
  yield ["half of them others", planNext(large, equal(48).slice(16), 14, 2)]
}

/** Twelve changes of any kind, one after the other. */
function* sequences(): Generator<readonly [string, Layout]> {
  for (let seed = 1; seed <= 24; seed += 1) {
    const disorder = new Disorder(1000 + seed)
    const weight = () => Math.round(10 ** (2 * disorder.fraction()) * 10) / 10
    let devices: readonly LayoutDevice[] = weighted(Array.from({ length: 2 + disorder.below(20) }, weight))
    let width = 1 + disorder.below(Math.min(devices.length, 14))
    let layout = planLayout(devices, width, 1, 4096)
    for (let step = 2; step <= 13; step += 1) {
      const victim = disorder.below(devices.length)
      const change = disorder.below(6)
      const others = devices.filter((_, i) => i !== victim)
      if (change <= 1 && devices.length < DEVICES_MAX) {
        devices = [...devices, { id: deviceId(100 * seed + step), weight: weight() }]
      } else if (change === 2 && devices.length > width) devices = others
      else if (change === 3) devices = closed(devices, victim)
      else if (change === 4) width = 1 + disorder.below(Math.min(devices.length, 14))
      else devices = devices.map((device, i) => (i === victim ? { id: device.id, weight: weight() } : device))
      layout = planNext(layout, devices, width, step)
    }
    yield [`sequence ${seed}`, layout]
  }
}

const GOLDEN = `
48d895979bd2f429 1 equal, width 1
48d895979bd2f429 ramp of 1, width 1
5397a4079c62e930 2 equal, width 2
c70d43be1cb901e7 ramp of 2, width 2
bff09f1b60fad5dc 3 equal, width 3
9ef7f86d8b96f998 ramp of 3, width 3
e417a344f30b99c5 4 equal, width 3
cffa2249a222db46 ramp of 4, width 3
0c54db55e36f395f 6 equal, width 6
aebe722546e37288 ramp of 6, width 6
c775f0fb85899f3a 7 equal, width 6
fca9352ab532b00f ramp of 7, width 6
46c7144ce41257bf 12 equal, width 6
7d8e25c5c15fe72a ramp of 12, width 6
d6365993336f7417 20 equal, width 14
98a6c2b04f4cc702 32 equal, width 14
710ad53155906ca8 32 equal, width 32
648c1f9301e6d9e3 one too large
ad684db38dab36c6 one without weight
717518282e2af7c9 one that may not gain
807016d5f426d084 too few that may gain
b226cfc6d3f77bba on all, of which one may not gain
6ee1ad2efa446e63 one more
f8f4ef8e83d29b65 four more
1b77f1fe525bfd62 as many as there may be
642e2f515078818e one less
1a7c115bf9b8419d two less
e525aadc00d0b098 one out of two new ones
74ca98074d7625fb other weights
59d3e288bb896ce2 one twenty times as large
026d8253bcd71076 wider
e6c391f9f18b7961 narrower
c7c9265014524f91 one more and wider
7612220f73d11f94 two out, one gone
df54518c4de8b40b three out, and wider
5f9b9170c8240b8b one out that should hold more
ea42e17c6c2e1638 one replaced, then one more
ac29d50680198001 all other weights
21cfce41e02b6847 half of them others
7cfd427bd8d3c323 sequence 1
e718abe8c25891e2 sequence 2
436922a9cac640ea sequence 3
543d88e442c03c04 sequence 4
c6c43cc92c163fc9 sequence 5
7cbff0caa4c09394 sequence 6
50c7c4ebef6bee2d sequence 7
59cfdfb39dd8bb19 sequence 8
7cb3797789b2a880 sequence 9
c8d80eabfab2ae2a sequence 10
af66137c5e049087 sequence 11
cc9fd09886b4744b sequence 12
44e55e148867498a sequence 13
ae08f499d9d560a2 sequence 14
51784989da9fc9ab sequence 15
d089963ca8f63be7 sequence 16
dd58016d86b94770 sequence 17
37977c26faba820e sequence 18
9581793507d2dbb1 sequence 19
0238c283391826ed sequence 20
277b63ce5b89b014 sequence 21
2669fa26bd76d02b sequence 22
af18bb61cc747819 sequence 23
484ed1beee80a471 sequence 24
`

test("plans without named domains equal those made before domains existed", () => {
  const planned = [...firstLayouts(), ...transitions(), ...sequences()]
  assert.equal(planned.map(([what, layout]) => `${sumOf(layout)} ${what}`).join("\n"), GOLDEN.trim())
})
