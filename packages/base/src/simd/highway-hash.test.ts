import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { bytesOfHex, concatBytes, hexOf } from "../bytes.js"
import { highwayHash256 } from "./highway-hash.js"

const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i)

/** Some of the published vectors: the hash of 0, 1, 2 … with the key 0, 1, … 31. */
const VECTORS: readonly (readonly [lengthBytes: number, hash: string])[] = [
  [0, "f574c8c22a4844dd1f35c713730146d9ff1487b9ccbeaeb3f41d75453123da41"],
  [1, "54825fe4bc41b9ed0fc6ca3def440de2474a32cb9b1b657284e475b24c627320"],
  [2, "54e4af24dff9df3f73e80a1b1abfc4117a592269cc6951112cb4330d59f60812"],
  [3, "5cd9d10dd7a00a48d0d111697c5e22895a86bb8b6b42a88e22c7e190c3fb3de2"],
  [4, "dce42b2197c4cfc99b92d2aff69d5fa89e10f41d219fda1f9b4f4d377a27e407"],
  [5, "b385dca466f5b4b44201465eba634bbfe31ddccd688ef415c68580387d58740f"],
  [7, "81ad8709a0b166d6376d8ceb38f8f1a430e063d4076e22e96c522c067dd65457"],
  [15, "2e604278700519c146b1018501dbc362c10634fa17adf58547c3fed47bf884c8"],
  [16, "1fcdb6a189d91af5d97b622ad675f0f7068af279f5d5017e9f4d176ac115d41a"],
  [17, "8e06a42ca8cff419b975923abd4a9d3bc610c0e9ddb000801356214909d58488"],
  [18, "5d9fab817f6c6d12ee167709c5a3da4e493edda7731512af2dc380aa85ac0190"],
  [19, "fa559114f9beaa063d1ce744414f86dfda64bc60e8bcbafdb61c499247a52bde"],
  [20, "db9f0735406bfcad656e488e32b787a0ea23465a93a9d14644ee3c0d445c89e3"],
  [31, "4d641a6076e28068dab70fb1208b72b36ed110060612bdd0f22e4533ef14ef8a"],
  [32, "fec3a139908ce3bc8912c1a32663d542a9aefc64f79555e3995a47c96b3cb0c9"],
  [33, "e5a634f0cb1501f6d046cebf75ea366c90597282d3c8173b357a0011eda2da7e"],
  [47, "a4a023f88be189d1d7a701e53b353b1f84282ee0b4774fa20c18f9746f64947e"],
  [48, "48ec25d335c6f8af0b8d0314a40a2e2c6774441a617fd34e8914503be338ec39"],
  [63, "67eb3a6a26f8b1f5dd1aec4dbe40b083aefb265b63c8e17f9fd7fede47a4a3f4"],
  [64, "7524c16affe6d890f2c1da6e192a421a02b08e1ffe65379ebecf51c3c4d7bdc1"],
]

test("the published vectors, one for each length up to two packets", () => {
  for (const [length, hash] of VECTORS) assert.equal(hexOf(highwayHash256(counting(32), counting(length))), hash)
  const all = Array.from({ length: 65 }, (_, length) => highwayHash256(counting(32), counting(length)))
  const digest = createHash("sha256").update(concatBytes(all)).digest("hex")
  assert.equal(digest, "98b2d4c414d72f43620d9e37b87d697f577d9590ba3c6e6fb793d134a5769505", "of all 65 vectors")
})

test("the chain by which MinIO tests itself at its start", () => {
  const key = bytesOfHex("4be734fa8e238acd263e83e6bb968552040f935da39f441497e09d1322de36a0")
  assert.ok(key)
  const sums: Uint8Array[] = []
  for (let i = 0; i < 32; i += 1) sums.push(highwayHash256(key, concatBytes(sums)))
  assert.equal(
    hexOf(sums.at(-1) ?? new Uint8Array()),
    "39c0407ed3f01b18d22c85db4aeff11e060ca5f43131b0126731ca197cd42313",
  )
})

test("input longer than the memory of the kernel passes in pieces", () => {
  const long = new Uint8Array(200_003).map((_, i) => i * 31)
  assert.equal(
    hexOf(highwayHash256(counting(32), long)),
    "7e5b5dcc9573b38ba0124ee72da6260f5e34dec6bce6e5f4d07ecf3edc507740",
  )
})
