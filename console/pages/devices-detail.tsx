/** One device: all that is known of it, and what can be done with it in its state. */
import { useSignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { api } from "../api/client.js"
import type { Device, DeviceCheck, Status } from "../api/shapes.js"
import { useAction } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { CopyButton } from "../parts/copy-button.js"
import { Dialog } from "../parts/dialog.js"
import { CheckboxField, Form, TextField } from "../parts/fields.js"
import { countText, durationText, listText, sizeText, timeText } from "../parts/format.js"
import { Badge, Facts, Section } from "../parts/page.js"
import type { PlannedChange } from "../parts/plan-dialog.js"
import { WorkProgress } from "../parts/progress.js"
import { SettingLine } from "../parts/setting-line.js"
import { EmptyState, Notice } from "../parts/states.js"
import { Ago } from "../parts/time.js"
import { toast } from "../parts/toast.js"
import { pathTo } from "../shell/router.js"
import { useFolder, weightOf } from "./devices-add.js"
import { DiskSection, UnshownDisks, useDisks } from "./devices-disk.js"
import { Fullness } from "./devices-list.js"
import { kindOfState, shortNames } from "./safety-problems.js"

const bytesText = (bytes: number | undefined): string => (bytes === undefined ? "unknown" : sizeText(bytes))

const METADATA = {
  yes: "has a copy of the metadata",
  learning: "receives a copy of the metadata",
  no: "has no copy of the metadata",
} as const

/** The devices that are on the same disk, and fail with it. */
function sharedText({ id, disk, machine, node }: Device, devices: readonly Device[]): string {
  if (disk === undefined) return "unknown"
  const others = devices.filter(
    each => each.id !== id && each.disk === disk && each.machine === machine && each.node === node,
  )
  const names = shortNames(devices)
  return others.length === 0
    ? "of its own"
    : `shared with ${listText(others.map(each => names.get(each.id) ?? each.path))}: they fail together`
}

function DeviceFacts({ device, devices }: { readonly device: Device; readonly devices: readonly Device[] }) {
  const { state, reason, sinceMs, node, zone, machine, queues } = device
  const facts: (readonly [string, ComponentChildren])[] = [
    ["State", <Badge kind={kindOfState(state)}>{state}</Badge>],
    ...(reason === "" ? [] : [["Reason", reason] as const]),
    ...(sinceMs === undefined ? [] : [["Since", <Ago timeMs={sinceMs} />] as const]),
    ["Folder", <code class="words">{device.path}</code>],
    [
      "Id",
      <span class="copied">
        <code>{device.id}</code>
        <CopyButton label="Copy the id" text={device.id} />
      </span>,
    ],
    ...(node === undefined ? [] : [["Node", node] as const]),
    ...(zone === undefined ? [] : [["Zone", zone] as const]),
    ...(machine === undefined ? [] : [["Machine", machine] as const]),
    ["Disk", sharedText(device, devices)],
    ["File system", device.fileSystemKind === "" ? "unknown" : device.fileSystemKind],
    ["Weight", String(device.weight)],
    ["Metadata", METADATA[device.metadataReplica]],
    ...queues.map(
      ({ name, depth, limit }) =>
        [
          name === "calls" ? "Waiting for the disk" : `Waiting (${name})`,
          depth === 0 ? "nothing" : `${countText(depth)} requests, of ${countText(limit)} at most`,
        ] as const,
    ),
  ]
  return <Facts facts={facts} />
}

function fullInText({ totalBytes, fullInSeconds }: Device): string {
  if (fullInSeconds !== undefined) return durationText(fullInSeconds)
  return totalBytes > 0 ? "not filling up" : "unknown"
}

function SpaceFacts({ device }: { readonly device: Device }) {
  const { totalBytes } = device
  return (
    <Facts
      facts={[
        ["Used", <Fullness device={device} />],
        ["Size", totalBytes > 0 ? sizeText(totalBytes) : "unknown"],
        ["Free for objects", bytesText(device.usableBytes)],
        ["Free in all", totalBytes > 0 ? sizeText(device.freeBytes) : "unknown"],
        ["Kept for repair and deletes", bytesText(device.reserveBytes)],
        ["Files of data", bytesText(device.volumeBytes)],
        ["Deleted, not yet free", bytesText(device.deadBytes)],
        ["Log of changes", bytesText(device.logBytes)],
        ["Full in", fullInText(device)],
      ]}
    />
  )
}

type Asking = "weight" | "replace" | "forget"

interface FormProps {
  readonly device: Device
  readonly nodes: readonly string[]
  readonly onClose: () => void
  readonly onChange: (change: PlannedChange) => void
}

function Asked(props: {
  readonly title: string
  readonly isValid: boolean
  readonly onClose: () => void
  readonly onPlan: () => void
  readonly children: ComponentChildren
}) {
  const { title, isValid, onClose, onPlan, children } = props
  return (
    <Dialog title={title} onClose={onClose}>
      <Form label={title} onSubmit={onPlan}>
        {children}
        <div class="form-actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" isDisabled={!isValid}>
            Show the plan
          </Button>
        </div>
      </Form>
    </Dialog>
  )
}

function WeightForm({ device, onClose, onChange }: FormProps) {
  const text = useSignal(String(device.weight))
  const { weight, problem } = weightOf(text.value)
  const plan = () => onChange({ title: "Set weight", path: `/v1/devices/${device.id}/weight`, body: { weight } })
  return (
    <Asked title="Set weight" isValid={weight !== undefined} onClose={onClose} onPlan={plan}>
      <TextField
        label="Weight"
        type="number"
        min={0}
        step="any"
        value={text}
        error={problem}
        hint="Its share of the shards, relative to the other devices. A drained device is taken back into use."
      />
    </Asked>
  )
}

const ACCEPT_LOSS = "Go on even if objects are lost"

function ReplaceForm({ device, nodes, onClose, onChange }: FormProps) {
  const folder = useFolder(nodes)
  const acceptLoss = useSignal(false)
  const body = { ...folder.body, acceptLoss: acceptLoss.value }
  const plan = () => onChange({ title: "Replace device", path: `/v1/devices/${device.id}/replace`, body })
  return (
    <Asked title="Replace device" isValid={folder.isValid} onClose={onClose} onPlan={plan}>
      <p>An empty folder takes the place of the device; its shards are rebuilt there from the others.</p>
      {folder.fields}
      <CheckboxField label={ACCEPT_LOSS} value={acceptLoss} />
    </Asked>
  )
}

function ForgetForm({ device, onClose, onChange }: FormProps) {
  const acceptLoss = useSignal(false)
  const body = { acceptLoss: acceptLoss.value }
  const path = `/v1/devices/${device.id}/forget`
  const plan = () => onChange({ title: "Forget device", path, body, isDangerous: true })
  return (
    <Asked title="Forget device" isValid onClose={onClose} onPlan={plan}>
      <p>
        The device is given up permanently, with all that is on it. Its shards are rebuilt on the others. If it may come
        back, wait, or repair it.
      </p>
      <CheckboxField label={ACCEPT_LOSS} value={acceptLoss} />
    </Asked>
  )
}

const FORMS = { weight: WeightForm, replace: ReplaceForm, forget: ForgetForm } as const

/** Changes of a device that need only its id. */
const PLAIN = {
  drain: "Drain device",
  remove: "Remove device",
  use: "Use device again",
} as const

/** A change, with what it does in a line. */
const Line = (props: { readonly title: string; readonly hint: string; readonly children: ComponentChildren }) => (
  <SettingLine {...props} />
)

const isEmptying = ({ state }: Device): boolean => state === "draining" || state === "decommissioning"
const isGone = ({ state }: Device): boolean => state === "offline" || state === "missing" || state === "failed"

function Actions(props: {
  readonly device: Device
  readonly nodes: readonly string[]
  readonly onChange: (change: PlannedChange) => void
  readonly onChecked: () => void
}) {
  const { device, nodes, onChange, onChecked } = props
  const asking = useSignal<Asking | undefined>(undefined)
  const check = useAction(async () => {
    const { state, finding } = await api.post<DeviceCheck>(`/v1/devices/${device.id}/check`)
    toast(`The device is ${state}: ${finding}`)
    onChecked()
  })
  const plan = (word: keyof typeof PLAIN) => onChange({ title: PLAIN[word], path: `/v1/devices/${device.id}/${word}` })
  const AskedForm = asking.value === undefined ? undefined : FORMS[asking.value]
  const close = () => (asking.value = undefined)
  return (
    <>
      <Section title="Change">
        <div class="setting-lines">
          {isEmptying(device) && (
            <Line title="Use again" hint="Data comes back to it.">
              <Button onClick={() => plan("use")}>Use again</Button>
            </Line>
          )}
          {!isEmptying(device) && (
            <Line
              title="Drain"
              hint="Moves all data to the other devices; it stays in the store, empty, and can be used again."
            >
              <Button onClick={() => plan("drain")}>Drain</Button>
            </Line>
          )}
          {device.state !== "decommissioning" && (
            <Line title="Remove" hint="Moves all data to the other devices, and takes it out of the store then.">
              <Button onClick={() => plan("remove")}>Remove</Button>
            </Line>
          )}
          <Line title="Weight" hint={`${device.weight} now: its share of the data, relative to the other devices.`}>
            <Button onClick={() => (asking.value = "weight")}>Set weight</Button>
          </Line>
          <Line title="Check" hint="Looks whether the disk answers, and opens it again if it was away.">
            <Button isBusy={check.isBusy} onClick={() => void check.run()}>
              Check now
            </Button>
          </Line>
          {isGone(device) && (
            <Line title="Replace" hint="An empty folder takes its place; the data is rebuilt there from the others.">
              <Button onClick={() => (asking.value = "replace")}>Replace</Button>
            </Line>
          )}
          {isGone(device) && (
            <Line title="Forget" hint="Gives it up with all that is on it. The data is rebuilt on the others.">
              <Button kind="danger" onClick={() => (asking.value = "forget")}>
                Forget
              </Button>
            </Line>
          )}
        </div>
      </Section>
      <div role="alert">
        {check.problem.value !== undefined && <Notice kind="danger">{check.problem.value}</Notice>}
      </div>
      {AskedForm !== undefined && (
        <AskedForm
          device={device}
          nodes={nodes}
          onClose={close}
          onChange={change => {
            close()
            onChange(change)
          }}
        />
      )}
    </>
  )
}

export function DeviceDetail(props: {
  readonly id: string
  readonly status: Status
  readonly onChange: (change: PlannedChange) => void
  readonly onChecked: () => void
}) {
  const { id, status, onChange, onChecked } = props
  const { byDevice, unshown } = useDisks()
  const device = status.devices.find(each => each.id === id)
  if (device === undefined) {
    return (
      <EmptyState title="The store has no device with this id" icon="device">
        <a href={pathTo(["devices"])}>All devices</a>
      </EmptyState>
    )
  }
  const scrub = status.scrub?.find(each => each.device === id)
  const nodes = status.nodes?.nodes.map(({ name }) => name) ?? []
  return (
    <>
      {status.safety.critical.includes(id) && (
        <Notice kind="danger">This device must stay: its loss alone would lose objects now.</Notice>
      )}
      <UnshownDisks unshown={unshown.filter(({ node }) => node === device.node)} />
      <div class="cards">
        <Section title="Device">
          <DeviceFacts device={device} devices={status.devices} />
        </Section>
        <Section title="Space">
          <SpaceFacts device={device} />
        </Section>
        <DiskSection disk={byDevice.get(id)} />
        {scrub !== undefined && (
          <Section title={`Scrub: ${scrub.state}`}>
            <WorkProgress label="Verified in this pass" progress={scrub.progress} />
            <Facts
              facts={[
                ["Oldest verified", timeText(scrub.oldestVerifiedMs)],
                ["Damages found", `${countText(scrub.damagesFound)} since the start of the process`],
              ]}
            />
          </Section>
        )}
      </div>
      <Actions device={device} nodes={nodes} onChange={onChange} onChecked={onChecked} />
    </>
  )
}
