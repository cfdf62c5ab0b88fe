/**
 * Devices, layout, nodes and redundancy. Every change is planned, shown and confirmed; the pages below only say what
 * is to be changed.
 */
import { useSignal } from "@preact/signals"
import { useLive } from "../api/live.js"
import type { Status } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { Page, type PageProps } from "../parts/page.js"
import { PlanDialog, type PlannedChange } from "../parts/plan-dialog.js"
import { WorkProgress } from "../parts/progress.js"
import { Loaded, Notice } from "../parts/states.js"
import { Tabs } from "../parts/tabs.js"
import { pathTo } from "../shell/router.js"
import { AddDevice } from "./devices-add.js"
import { DeviceDetail } from "./devices-detail.js"
import { LayoutTab } from "./devices-layout.js"
import { DeviceList } from "./devices-list.js"
import { NodesTab } from "./devices-nodes.js"
import { RedundancyTab } from "./devices-redundancy.js"
import { shortNames } from "./safety-problems.js"

const EVERY_MS = 5_000

/** Work that changes of devices have begun. */
function Work({ status, onChange }: { readonly status: Status; readonly onChange: (change: PlannedChange) => void }) {
  const { layout, reencoding } = status
  const { transition } = layout
  if (transition === undefined && reencoding === undefined) return null
  return (
    <Notice>
      {transition !== undefined && (
        <>
          <p>
            Shards are moving from layout {transition.fromVersion} to layout {layout.version}.
          </p>
          {transition.progress === undefined ? (
            <p>How much remains is not known yet.</p>
          ) : (
            <WorkProgress label="Shards moved" progress={transition.progress} />
          )}
          <Button onClick={() => onChange({ title: "Go back to the previous layout", path: "/v1/layout/revert" })}>
            Go back to the previous layout
          </Button>
        </>
      )}
      {reencoding !== undefined && (
        <>
          <p>Stored objects are re-encoded to their new redundancy.</p>
          <WorkProgress label="Blocks re-encoded" progress={reencoding} />
        </>
      )}
    </Notice>
  )
}

export function DevicesPage({ segments }: PageProps) {
  const status = useLive<Status>("/v1/status", EVERY_MS)
  const change = useSignal<PlannedChange | undefined>(undefined)
  const isAdding = useSignal(false)
  const onChange = (next: PlannedChange) => (change.value = next)
  const [id] = segments
  const detail = status.value?.devices.find(device => device.id === id)
  const name = detail && shortNames(status.value?.devices ?? []).get(detail.id)
  const title = id === undefined ? "Devices and layout" : `Device ${name ?? id}`
  return (
    <Page
      title={title}
      live={status}
      {...(id === undefined ? {} : { trail: [{ title: "Devices and layout", to: pathTo(["devices"]) }] })}
      actions={
        id === undefined && (
          <Button kind="primary" onClick={() => (isAdding.value = true)}>
            Add device
          </Button>
        )
      }
    >
      <Loaded live={status}>
        {value =>
          id === undefined ? (
            <>
              <Work status={value} onChange={onChange} />
              <Tabs
                label="Devices and layout"
                tabs={[
                  { key: "devices", title: "Devices", content: () => <DeviceList devices={value.devices} /> },
                  { key: "layout", title: "Layout and weights", content: () => <LayoutTab onChange={onChange} /> },
                  {
                    key: "nodes",
                    title: "Nodes",
                    content: () => <NodesTab nodes={value.nodes} devices={value.devices} onChange={onChange} />,
                  },
                  { key: "redundancy", title: "Redundancy", content: () => <RedundancyTab onChange={onChange} /> },
                ]}
              />
            </>
          ) : (
            <DeviceDetail id={id} status={value} onChange={onChange} onChecked={status.refresh} />
          )
        }
      </Loaded>
      {/* It stays open below the plan: what was typed can be corrected. */}
      {isAdding.value && (
        <AddDevice
          nodes={status.value?.nodes?.nodes.map(({ name }) => name) ?? []}
          onClose={() => (isAdding.value = false)}
          onChange={onChange}
        />
      )}
      {change.value !== undefined && (
        <PlanDialog
          change={change.value}
          onClose={() => (change.value = undefined)}
          onDone={() => {
            isAdding.value = false
            status.refresh()
          }}
        />
      )}
    </Page>
  )
}
