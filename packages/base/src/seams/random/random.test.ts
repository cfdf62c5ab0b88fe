import assert from "node:assert/strict"
import { test } from "node:test"
import { hexOf } from "../../bytes.js"
import { RealRandom } from "./real.js"
import { SimRandom } from "./sim.js"
import { randomSuite } from "./suite.js"

randomSuite("real", () => new RealRandom())
randomSuite("simulated", () => new SimRandom(20_260_101))

test("one seed always produces the same numbers", () => {
  const draw = (seed: number) => {
    const random = new SimRandom(seed)
    return [hexOf(random.bytes(8)), random.below(1_000_000), hexOf(random.fork("disk").fork("0").bytes(8))]
  }
  assert.deepEqual(draw(42), draw(42))
  assert.notDeepEqual(draw(42), draw(43))
})

test("drawing more in one place shifts no other numbers", () => {
  const [calm, busy] = [new SimRandom(7), new SimRandom(7)]
  busy.bytes(1000)
  busy.fork("other").bytes(1000)
  assert.equal(hexOf(calm.fork("hedge").bytes(16)), hexOf(busy.fork("hedge").bytes(16)))
})

test("the generator agrees with xoshiro128** written down in big integers", () => {
  const step = ([s0 = 0n, s1 = 0n, s2 = 0n, s3 = 0n]: readonly bigint[]): [bigint[], bigint] => {
    const u32 = (value: bigint): bigint => value & 0xffff_ffffn
    const rot = (value: bigint, by: bigint): bigint => u32(value << by) | (value >> (32n - by))
    const result = u32(rot(u32(s1 * 5n), 7n) * 9n)
    const t = u32(s1 << 9n)
    const [a2, a3] = [s2 ^ s0, s3 ^ s1]
    return [[s0 ^ a3, s1 ^ a2, a2 ^ t, rot(a3, 11n)], result]
  }
  const u64 = (value: bigint): bigint => BigInt.asUintN(64, value)
  const mixed = (value: bigint): bigint => {
    let z = u64(value + 0x9e37_79b9_7f4a_7c15n)
    z = u64((z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n)
    z = u64((z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn)
    return z ^ (z >> 31n)
  }
  const low = mixed(5n)
  const high = mixed(low)
  let state = [low & 0xffff_ffffn, low >> 32n, high & 0xffff_ffffn, high >> 32n]
  const random = new SimRandom(5)
  for (let i = 0; i < 100; i += 1) {
    const [next, expected] = step(state)
    state = next
    assert.equal(BigInt(random.below(2 ** 32)), expected)
  }
})
