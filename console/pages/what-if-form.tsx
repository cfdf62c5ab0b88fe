/** The form of "What if": the layout, what to compare, and what is assumed. */
import { signal, type Signal } from "@preact/signals"
import type { Simulate } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { Form, SelectField, TextField } from "../parts/fields.js"
import { listText } from "../parts/format.js"

type Which = "present" | "described"

const WHICH: readonly (readonly [Which, string])[] = [
  ["present", "The present one"],
  ["described", "A described one"],
]

/** Numbers of the form, with their first values. The server says which it accepts. */
const LAYOUT = {
  zones: ["Zones", "3"],
  machines: ["Machines in a zone", "4"],
  devices: ["Devices in a machine", "12"],
  terabytes: ["TB of a device", "16"],
} as const
const ASSUMPTIONS = {
  failures: ["Devices that fail in a year, %", "1.5"],
  fill: ["Fill of the devices, %", "80"],
  replace: ["Hours until a device is replaced", "24"],
  objects: ["Objects", "1000000000"],
  objectBytes: ["Bytes of an object", "1000000"],
} as const
const ALL = { ...LAYOUT, ...ASSUMPTIONS }
/** Lines of zones that are sent; the server refuses far fewer devices than these could have. */
const ZONES_MAX = 500

/** Layouts to begin with: zones, machines in each, devices in each, and terabytes of each. */
export const PRESETS = [
  { title: "6 disks of 8 TB", layout: { zones: "1", machines: "1", devices: "6", terabytes: "8" } },
  { title: "4 machines with 6 disks", layout: { zones: "1", machines: "4", devices: "6", terabytes: "8" } },
  { title: "3 zones with 4 machines", layout: { zones: "3", machines: "4", devices: "12", terabytes: "16" } },
] as const

type FieldName = keyof typeof ALL

export interface Question {
  readonly which: Signal<Which>
  readonly policies: Signal<string>
  readonly numbers: ReadonlyMap<FieldName, Signal<string>>
  readonly problem: Signal<string | undefined>
}

const namesIn = (fields: object): readonly FieldName[] =>
  (
    ["zones", "machines", "devices", "terabytes", "failures", "fill", "replace", "objects", "objectBytes"] as const
  ).filter(name => name in fields)

export const newQuestion = (): Question => ({
  which: signal<Which>("present"),
  policies: signal(""),
  problem: signal<string | undefined>(undefined),
  numbers: new Map(namesIn(ALL).map(name => [name, signal<string>(ALL[name][1])])),
})

/** Describes a layout as a preset has it; returns what is to be asked. */
export function describe(question: Question, { layout }: (typeof PRESETS)[number]): Simulate {
  question.which.value = "described"
  question.problem.value = undefined
  for (const name of ["zones", "machines", "devices", "terabytes"] as const) {
    const field = question.numbers.get(name)
    if (field !== undefined) field.value = layout[name]
  }
  return requestOf(question)
}

const numberIn = ({ numbers }: Question, name: FieldName): number => {
  const text = numbers.get(name)?.value.trim() ?? ""
  return text === "" ? NaN : Number(text)
}

/** The fields that are no number; they are not sent. */
function unclear(question: Question): readonly string[] {
  const asked = question.which.value === "described" ? ALL : ASSUMPTIONS
  return namesIn(asked)
    .filter(name => !Number.isFinite(numberIn(question, name)))
    .map(name => ALL[name][0])
}

function requestOf(question: Question): Simulate {
  const number = (name: FieldName): number => numberIn(question, name)
  const policies = question.policies.value.split(/[\s,]+/).filter(policy => policy !== "")
  const count = Math.max(1, Math.min(ZONES_MAX, number("zones")))
  const machines = Array.from({ length: count }, (_, at) => ({
    ...(count > 1 ? { zone: `zone ${at + 1}` } : {}),
    count: number("machines"),
    devices: number("devices"),
    deviceBytes: number("terabytes") * 1e12,
  }))
  return {
    ...(question.which.value === "described" ? { machines } : {}),
    ...(policies.length > 0 ? { policies } : {}),
    assumptions: {
      annualFailureRate: number("failures") / 100,
      fill: number("fill") / 100,
      replaceHours: number("replace"),
      objects: number("objects"),
      objectBytes: number("objectBytes"),
    },
  }
}

export function WhatIfForm(props: {
  readonly question: Question
  readonly isBusy: boolean
  readonly onAsk: (request: Simulate) => void
}) {
  const { question, isBusy, onAsk } = props
  const { which, policies, numbers, problem } = question
  const ask = (): void => {
    const wrong = unclear(question)
    problem.value = wrong.length === 0 ? undefined : `Not a number: ${listText(wrong)}`
    if (wrong.length === 0) onAsk(requestOf(question))
  }
  const field = (name: FieldName) => {
    const value = numbers.get(name)
    return value && <TextField key={name} label={ALL[name][0]} value={value} />
  }
  return (
    <Form label="What if" onSubmit={ask} problem={problem}>
      <SelectField
        label="Layout"
        value={which}
        options={WHICH}
        hint="Folders on one disk fail together: they are one device."
      />
      <div class="actions" role="group" aria-label="Layouts to begin with">
        <span class="hint">Or begin with</span>
        {PRESETS.map(preset => (
          <Button key={preset.title} onClick={() => onAsk(describe(question, preset))}>
            {preset.title}
          </Button>
        ))}
      </div>
      {which.value === "described" && <div class="field-row">{namesIn(LAYOUT).map(field)}</div>}
      <TextField
        label="Policies to compare"
        value={policies}
        isCode
        placeholder="replica:3 ec:4+2 ec:8+3 ec:10+4 garage minio"
        hint="Separated by spaces; also garage:2 or minio:12+4, which model what these do with the same devices. If empty, the usual ones."
      />
      <details>
        <summary>Assumptions</summary>
        <div class="field-row">{namesIn(ASSUMPTIONS).map(field)}</div>
      </details>
      <div>
        <Button type="submit" kind="primary" isBusy={isBusy}>
          Compare
        </Button>
      </div>
    </Form>
  )
}
