/** The layout: the share of each device, and several changes of weights and uses that are planned and made as one. */
import { useSignal } from "@preact/signals"
import { useLive } from "../api/live.js"
import type { LayoutDetails } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { percentText, plural } from "../parts/format.js"
import { Badge, Facts, Freshness, Section } from "../parts/page.js"
import type { PlannedChange } from "../parts/plan-dialog.js"
import { Loaded } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { pathTo } from "../shell/router.js"
import { weightOf } from "./devices-add.js"
import { zoneColumns } from "./devices-list.js"
import { kindOfState, placeOfDevice, shortNames } from "./safety-problems.js"

const EVERY_MS = 15_000

type PlacedDevice = LayoutDetails["devices"][number]
type Use = "" | "drainDevice" | "removeDevice" | "useDevice"

/** The values entered for a device, and not planned yet. */
interface Staged {
  readonly weight?: string
  readonly use?: Use
}

const USES: readonly (readonly [Use, string])[] = [
  ["", "as it is"],
  ["drainDevice", "drain"],
  ["removeDevice", "remove"],
  ["useDevice", "use again"],
]

/** The changes that a request consists of; undefined if something entered is no weight. */
function changesOf(
  devices: readonly PlacedDevice[],
  staged: ReadonlyMap<string, Staged>,
): readonly object[] | undefined {
  const changes: object[] = []
  for (const { id, weight: present } of devices) {
    const { weight: text = "", use = "" } = staged.get(id) ?? {}
    const { weight, problem } = weightOf(text)
    if (problem !== undefined) return undefined
    if (weight !== undefined && weight !== present) changes.push({ kind: "setWeight", id, weight })
    if (use !== "") changes.push({ kind: use, id })
  }
  return changes
}

function columnsOf(
  devices: readonly PlacedDevice[],
  staged: ReadonlyMap<string, Staged>,
  stage: (id: string, change: Staged) => void,
): readonly Column<PlacedDevice>[] {
  const names = shortNames(devices)
  return [
    {
      key: "path",
      title: "Device",
      cell: device => (
        <a class="words" href={pathTo(["devices", device.id])} title={placeOfDevice(device)}>
          {names.get(device.id)}
        </a>
      ),
      sortBy: placeOfDevice,
    },
    ...zoneColumns(devices),
    {
      key: "state",
      narrow: "end",
      title: "State",
      cell: ({ state }) => <Badge kind={kindOfState(state)}>{state}</Badge>,
      sortBy: ({ state }) => state,
    },
    {
      key: "share",
      title: "Share",
      align: "end",
      cell: ({ share, shareBefore }) =>
        shareBefore === undefined ? percentText(share) : `${percentText(shareBefore)} → ${percentText(share)}`,
      sortBy: ({ share }) => share,
    },
    { key: "weight", title: "Weight", align: "end", cell: ({ weight }) => String(weight), sortBy: d => d.weight },
    {
      key: "newWeight",
      title: "New weight",
      cell: device => (
        <input
          class="narrow"
          type="number"
          min={0}
          step="any"
          aria-label={`New weight of ${placeOfDevice(device)}`}
          aria-invalid={weightOf(staged.get(device.id)?.weight ?? "").problem !== undefined}
          value={staged.get(device.id)?.weight ?? ""}
          onInput={event => stage(device.id, { weight: event.currentTarget.value })}
        />
      ),
    },
    {
      key: "use",
      title: "Use",
      cell: device => (
        <select
          class="narrow"
          aria-label={`Use of ${placeOfDevice(device)}`}
          value={staged.get(device.id)?.use ?? ""}
          onChange={event => {
            const [use] = USES.find(([key]) => key === event.currentTarget.value) ?? [""]
            stage(device.id, { use })
          }}
        >
          {USES.map(([key, title]) => (
            <option key={key} value={key}>
              {title}
            </option>
          ))}
        </select>
      ),
    },
  ]
}

export function LayoutTab({ onChange }: { readonly onChange: (change: PlannedChange) => void }) {
  const layout = useLive<LayoutDetails>("/v1/layout", EVERY_MS)
  const staged = useSignal<ReadonlyMap<string, Staged>>(new Map())
  const stage = (id: string, change: Staged) => {
    staged.value = new Map(staged.value).set(id, { ...staged.value.get(id), ...change })
  }
  return (
    <Section
      title="Layout"
      actions={<Freshness live={layout} />}
      hint="Enter new weights or uses for as many devices as you like; they are planned and made as one change, so that shards move once."
    >
      <Loaded live={layout}>
        {({ version, width, devices }) => {
          const changes = changesOf(devices, staged.value)
          const count = changes?.length ?? 0
          return (
            <>
              <Facts
                facts={[
                  ["Version", String(version)],
                  ["Devices that share each piece of data", String(width)],
                ]}
              />
              <DataTable
                caption="Devices of the layout"
                columns={columnsOf(devices, staged.value, stage)}
                rows={devices}
                rowKey={({ id }) => id}
              />
              <div class="actions">
                <Button
                  kind="primary"
                  isDisabled={count === 0}
                  onClick={() =>
                    onChange({ title: `Make ${plural(count, "change")}`, path: "/v1/layout", body: { changes } })
                  }
                >
                  {count === 0 ? "Show the plan" : `Show the plan of ${plural(count, "change")}`}
                </Button>
                {staged.value.size > 0 && (
                  <Button kind="quiet" onClick={() => (staged.value = new Map())}>
                    Clear
                  </Button>
                )}
                <p role="status">{changes === undefined && "A weight is a number above 0."}</p>
              </div>
            </>
          )
        }}
      </Loaded>
    </Section>
  )
}
