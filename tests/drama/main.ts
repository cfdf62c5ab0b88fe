/**
 * A long drama: `npm run drama -- [--minutes 30] [--acts N] [--seed N] [--only kill,rot,…]`, which ends after the minutes and
 * so many acts (of several nodes: of each of two kinds), with
 *
 *   --hurried     jobs rest, and nodes wait for each other, for a shorter time
 *   --devices 5   one server whose disks fail (the default)
 *   --nodes 3     several nodes that fail with their disks, networks and database. At the end it waits until any disk and
 *                 machine may fail, which takes over 15 minutes; with --until settled, until no block lacks a shard
 *
 * Prints the acts, the broken promises and the command that replays the run; exits with 1 if a promise was broken.
 */
import { parseArgs } from "node:util"
import { drama, replayCommand } from "./drama.js"
import { parseActs } from "./nemesis.js"
import { nodesDrama, replayCommand as replayOfNodes } from "./nodes-drama.js"
import { parseNodesActs } from "./nodes-nemesis.js"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    acts: { type: "string" },
    devices: { type: "string", default: "5" },
    nodes: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    only: { type: "string" },
    hurried: { type: "boolean", default: false },
    until: { type: "string", default: "whole" },
  },
})
const { nodes, only } = values
const actsLeast = values.acts === undefined ? undefined : Number(values.acts)
const common = { minutes: Number(values.minutes), seed: Number(values.seed), isHurried: values.hurried }

const say = (line: string): void => void process.stdout.write(`${line}\n`)

const sums = (counts: ReadonlyMap<string, number>): string =>
  [...counts].map(([name, count]) => `${name} ${count}`).join(", ")

/** Plays one server, and returns what it broke. */
async function playDevices(): Promise<readonly string[]> {
  const acts = only === undefined ? undefined : parseActs(only)
  const options = { ...common, devices: Number(values.devices), only: acts, actsLeast }
  say(replayCommand(options))
  const { violations, operations, acts: done, longestMs } = await drama({ ...options, log: say })
  say(sums(done))
  say(`${operations} operations; no client waited longer than ${Math.round(longestMs)} ms`)
  return violations
}

async function playNodes(count: number): Promise<readonly string[]> {
  const acts = only === undefined ? undefined : parseNodesActs(only)
  const options = { ...common, nodes: count, only: acts, actsLeast, untilWhole: values.until === "whole" }
  say(replayOfNodes(options))
  const { violations, operations, acts: done, counts, longestMs } = await nodesDrama({ ...options, log: say })
  say(sums(done))
  say(`${operations} operations (${sums(counts)}); no client waited longer than ${Math.round(longestMs)} ms`)
  return violations
}

const violations = nodes === undefined ? await playDevices() : await playNodes(Number(nodes))
for (const violation of violations) say(violation)
say(violations.length === 0 ? "nothing lost" : "failed; the first line is the command that replays it")
process.exitCode = violations.length === 0 ? 0 : 1
