/** The nodes of a store on several machines: states, zones, devices, and draining, removing or giving up a node. */
import { useSignal } from "@preact/signals"
import type { Device, Nodes } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { Dialog } from "../parts/dialog.js"
import { CheckboxField, Form } from "../parts/fields.js"
import { Badge, Facts, Section } from "../parts/page.js"
import type { PlannedChange } from "../parts/plan-dialog.js"
import { EmptyState, Notice } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"

type Node = Nodes["nodes"][number]
type OnChange = (change: PlannedChange) => void

const KINDS: Readonly<Record<Node["state"], "good" | "warning" | "danger" | "neutral">> = {
  serving: "good",
  unreachable: "danger",
  silent: "danger",
  ended: "warning",
  removed: "neutral",
  unknown: "neutral",
}

const addressOf = (name: string, word: string): string => `/v1/nodes/${encodeURIComponent(name)}/${word}`

function NodeActions({
  node,
  onChange,
  onForget,
}: {
  readonly node: Node
  readonly onChange: OnChange
  readonly onForget: () => void
}) {
  const { name, use, state } = node
  const plan = (title: string, word: string) => onChange({ title, path: addressOf(name, word) })
  if (state === "removed") return null
  return (
    <div class="actions">
      {use === "in use" ? (
        <Button label={`Drain ${name}`} onClick={() => plan("Drain node", "drain")}>
          Drain
        </Button>
      ) : (
        <Button label={`Use ${name} again`} onClick={() => plan("Use node again", "use")}>
          Use again
        </Button>
      )}
      {use !== "leaving" && (
        <Button label={`Remove ${name}`} onClick={() => plan("Remove node", "remove")}>
          Remove
        </Button>
      )}
      {state !== "serving" && (
        <Button kind="danger" label={`Forget ${name}`} onClick={onForget}>
          Forget
        </Button>
      )}
    </div>
  )
}

function columnsOf(onChange: OnChange, onForget: (name: string) => void): readonly Column<Node>[] {
  return [
    { key: "name", title: "Node", cell: ({ name }) => <strong>{name}</strong>, sortBy: ({ name }) => name },
    {
      key: "zone",
      title: "Zone / machine",
      cell: ({ zone, machine }) => `${zone ?? "–"} / ${machine}`,
      sortBy: ({ zone = "", machine }) => `${zone}/${machine}`,
    },
    {
      key: "state",
      narrow: "end",
      title: "State",
      cell: ({ state, reason, cannotReach }) => (
        <>
          <Badge kind={KINDS[state]}>{state}</Badge> <span class="faint">{reason}</span>
          {cannotReach.length > 0 && <span class="faint"> cannot reach {cannotReach.join(", ")}</span>}
        </>
      ),
      sortBy: ({ state }) => state,
    },
    { key: "use", title: "Use", cell: ({ use }) => use, sortBy: ({ use }) => use },
    {
      key: "devices",
      title: "Devices",
      align: "end",
      cell: d => String(d.devices.length),
      sortBy: d => d.devices.length,
    },
    { key: "version", title: "Version", cell: ({ version }) => version },
    { key: "address", title: "Address", cell: ({ address }) => <code>{address}</code> },
    { key: "jobs", title: "Jobs", cell: ({ jobs }) => jobs.join(", ") || "–" },
    {
      key: "actions",
      title: "Actions",
      cell: node => <NodeActions node={node} onChange={onChange} onForget={() => onForget(node.name)} />,
    },
  ]
}

function ForgetNode({
  name,
  onClose,
  onChange,
}: {
  readonly name: string
  readonly onClose: () => void
  readonly onChange: OnChange
}) {
  const acceptLoss = useSignal(false)
  const body = { acceptLoss: acceptLoss.value }
  const plan = () => onChange({ title: "Forget node", path: addressOf(name, "forget"), body, isDangerous: true })
  return (
    <Dialog title={`Forget node ${name}`} onClose={onClose}>
      <Form label="Forget node" onSubmit={plan}>
        <p>The node is given up permanently, with its devices. Their shards are rebuilt on the other nodes.</p>
        <CheckboxField label="Go on even if objects are lost" value={acceptLoss} />
        <div class="form-actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary">
            Show the plan
          </Button>
        </div>
      </Form>
    </Dialog>
  )
}

/** On one machine, the names of the zone and the machine of the devices, if they have any. */
function OneMachine({ devices }: { readonly devices: readonly Device[] }) {
  const zones = [...new Set(devices.flatMap(({ zone }) => zone ?? []))]
  return (
    <EmptyState title="This store runs on one machine">
      <p>{zones.length === 0 ? "No zone is named." : `Zones: ${zones.join(", ")}.`}</p>
      <p>
        <a href="/docs/operate/cluster.md">A store on several machines</a> explains how to add nodes.
      </p>
    </EmptyState>
  )
}

export function NodesTab(props: {
  readonly nodes: Nodes | undefined
  readonly devices: readonly Device[]
  readonly onChange: OnChange
}) {
  const { nodes, devices, onChange } = props
  const forgetting = useSignal<string | undefined>(undefined)
  if (nodes === undefined) return <OneMachine devices={devices} />
  const { own, steward, idleJobs, heldBack } = nodes
  return (
    <Section title="Nodes" hint={`As node ${own} sees them.`}>
      {heldBack.map(text => (
        <Notice key={text} kind="warning">
          {text}
        </Notice>
      ))}
      <Facts
        facts={[
          ["Steward", steward ?? "none now"],
          ["Jobs that no node does", idleJobs.length === 0 ? "none" : idleJobs.join(", ")],
        ]}
      />
      <DataTable
        caption="Nodes"
        columns={columnsOf(onChange, name => (forgetting.value = name))}
        rows={nodes.nodes}
        rowKey={({ name }) => name}
        sort={{ key: "name", isDown: false }}
      />
      {forgetting.value !== undefined && (
        <ForgetNode
          name={forgetting.value}
          onClose={() => (forgetting.value = undefined)}
          onChange={change => {
            forgetting.value = undefined
            onChange(change)
          }}
        />
      )}
    </Section>
  )
}
