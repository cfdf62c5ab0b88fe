/**
 * Runs each file of `scenarios/` as one test. With REWRITE=yes in the environment it writes the printed outputs
 * into the files instead of comparing them.
 */
import assert from "node:assert/strict"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { BodyScenario } from "./body-scenario.js"
import { PartitionScenario } from "./partition-scenario.js"
import { PlacementScenario } from "./placement-scenario.js"
import { PrimaryScenario } from "./primary-scenario.js"
import { QueueScenario } from "./queue-scenario.js"
import { ReplicaScenario } from "./replica-scenario.js"
import { runScenario, type Subjects } from "./run-scenario.js"
import { StoreScenario } from "./store-scenario.js"

/** From `dist/tests/scenarios/`. */
const FOLDER = fileURLToPath(new URL("../../../scenarios/", import.meta.url))

/** By folder, and then by the first command of a scenario. */
const SUBJECTS: Readonly<Record<string, Subjects>> = {
  tablet: {
    primary: () => new PrimaryScenario(),
    replicas: () => new ReplicaScenario(),
    store: () => new StoreScenario(),
  },
  placement: {
    devices: () => new PlacementScenario(),
    store: () => new StoreScenario(),
    cluster: () => new StoreScenario(),
  },
  repair: {
    partition: () => new PartitionScenario(),
    body: () => new BodyScenario(),
    queue: () => new QueueScenario(),
  },
}

const isRewriting = process.env["REWRITE"] === "yes"
const HOW_TO_REWRITE =
  'If the new outputs are right: REWRITE=yes npm test -- tests/scenarios, and read "git diff scenarios".'

test("scenarios are text files in the folders of their subjects", () => {
  const found = readdirSync(FOLDER, { recursive: true, encoding: "utf8" }).filter(path => path.includes("."))
  const isExpected = (path: string) =>
    SUBJECTS[path.split("/")[0] ?? ""] !== undefined && /^\w+\/\d\d-[-\w]+\.txt$/.test(path)
  assert.deepEqual(
    found.filter(path => !isExpected(path)),
    [],
    "a scenario is scenarios/SUBJECT/NN-what-it-shows.txt",
  )
})

for (const [folder, subjects] of Object.entries(SUBJECTS)) {
  for (const name of readdirSync(`${FOLDER}${folder}`).sort()) {
    const path = `scenarios/${folder}/${name}`
    test(path, async () => {
      const before = readFileSync(`${FOLDER}${folder}/${name}`, "utf8")
      const { text, differences } = await runScenario(path, before, subjects)
      if (isRewriting) {
        if (text !== before) writeFileSync(`${FOLDER}${folder}/${name}`, text)
      } else assert.ok(differences.length === 0, `\n${[...differences, HOW_TO_REWRITE].join("\n\n")}\n`)
    })
  }
}
