/** The operations of `/v1` on what a store consists of: its layout, nodes, devices and redundancy. */
import type { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketName, parseDeviceId, parseNodeName } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable, tableText } from "@hayloft/base/text/report-text.js"
import { CommandProblem, parseBody, type Given, type Values } from "@hayloft/features/operator/index.js"
import type { StagedChange, StoreStatus } from "@hayloft/node/index.js"
import { operation, type AdminOperation } from "../operation.js"
import { change } from "./change-operation.js"
import { layoutText, nodesTable } from "./cluster-text.js"
import { ringText } from "./placement-text.js"
import * as schema from "./store-schemas.js"
import { classesText, redundancyText, workText } from "./store-text.js"

const DEVICE = { flags: "<DEVICE>", help: "id, beginning of the id, folder, or NODE:FOLDER", reads: "device" } as const
const ACCEPT_LOSS = { flags: "--accept-loss", help: "even if objects are lost" }

/** A change of one device that needs only the device id. `help`: of its command. */
const deviceChange = (word: "drain" | "remove" | "use", summary: string, help: string): AdminOperation => {
  const kind = `${word}Device` as const
  return change(kind, `/v1/devices/{device}/${word}`, {
    summary,
    request: schema.CHANGE_DEVICE,
    read: ({ segment, body }) => ({
      ...parseBody(schema.CHANGE_DEVICE, body),
      change: { kind, id: parseDeviceId(segment("device")) },
    }),
    commands: [{ name: `device ${word}`, help, inputs: { device: DEVICE } }],
  })
}

/** The device that is added is a folder of the machine that is asked, or of a node. */
function folderIn(given: Given): Values {
  const [path, node] = [given("path"), given("node")]
  if (node === "") return {}
  if (path.startsWith("/")) return { path }
  throw new CommandProblem("usage", `"${path}": pass the absolute path of the folder on node ${node}`)
}

const onNode = (name: string | undefined) => (name === undefined ? {} : { node: parseNodeName(name) })

/** A change of all devices of a node that needs only its name. `help`: of its command. */
const nodeChange = (word: "drain" | "remove" | "use", summary: string, help: string): AdminOperation => {
  const kind = `${word}Node` as const
  return change(kind, `/v1/nodes/{node}/${word}`, {
    summary,
    request: schema.CHANGE_NODE,
    read: ({ segment, body }) => ({
      ...parseBody(schema.CHANGE_NODE, body),
      change: { kind, node: parseNodeName(segment("node")) },
    }),
    commands: [{ name: `node ${word}`, help, inputs: { node: { flags: "<NODE>" } } }],
  })
}

/** Throws `invalidArgument` for an id or a name that cannot be one. */
function stagedOf(staged: z.output<typeof schema.STAGED_CHANGE>): StagedChange {
  if (staged.kind === "setWeight") return { ...staged, id: parseDeviceId(staged.id) }
  return "id" in staged
    ? { kind: staged.kind, id: parseDeviceId(staged.id) }
    : { kind: staged.kind, node: parseNodeName(staged.node) }
}

function nodesOf(status: StoreStatus) {
  const { nodes } = status.report()
  if (nodes === undefined) throw fail("notImplemented", { message: "this store has no nodes: it runs on one machine" })
  return nodes
}

const DEVICE_OPERATIONS: readonly AdminOperation[] = [
  operation("listDevices", "GET /v1/devices", {
    summary: "Lists devices with their state, space and queues.",
    answer: schema.DEVICES,
    run: async ({ status }) => ({ devices: status.report().devices }),
  }),
  operation("listDeviceDisks", "GET /v1/devices/disks", {
    summary:
      "Returns what the disks below the open devices of all nodes have read and written, their failed calls and their health, as far as the systems tell.",
    answer: schema.DEVICE_DISKS,
    run: ({ live }) => live.disks(),
  }),
  operation("listFreeDisks", "GET /v1/devices/free", {
    summary: "Lists mounted, empty file systems of this machine that could become devices.",
    answer: schema.FREE_DISKS,
    async run({ freeDisks, status }) {
      const taken = new Set(status.report().devices.map(({ disk }) => disk))
      const disks = (await freeDisks()).filter(({ disk }) => !taken.has(disk))
      return { disks: disks.map(({ disk: _, ...shown }) => shown) }
    },
    commands: [
      {
        name: "device free",
        help: "mounted, empty file systems of the server's machine that could become devices",
        list: "disks",
        text: ({ disks }) =>
          tableText(
            ["FOLDER", "DISK", "KIND", "SIZE", "NOTE"],
            disks.map(({ path, source, fileSystemKind, totalBytes, isOnSystem }) => [
              printable(path),
              printable(source),
              fileSystemKind,
              sizeText(totalBytes),
              isOnSystem ? "on the system disk" : "",
            ]),
          ),
      },
    ],
  }),
  change("addDevice", "/v1/devices", {
    summary: "Adds an empty folder as a device; shards move to it.",
    request: schema.ADD_DEVICE,
    read: ({ body }) => {
      const { path, node, weight, ...request } = parseBody(schema.ADD_DEVICE, body)
      return { ...request, change: { kind: "addDevice", path, weight, ...onNode(node) } }
    },
    commands: [
      {
        name: "device add",
        help: "add an empty folder as a device; shards move to it",
        inputs: {
          path: { flags: "<FOLDER>", help: "on the server's machine", reads: "folder" },
          node: { flags: "--node <NODE>", help: "the node whose folder it is (default: the one that is asked)" },
          weight: {
            flags: "--weight <NUMBER>",
            help: "share of the shards, relative to the others (default: by size)",
            reads: "number",
          },
        },
        sends: folderIn,
      },
    ],
  }),
  deviceChange(
    "drain",
    "Moves all shards of a device to the others.",
    "move all shards of a device to the others; it stays part of the store",
  ),
  deviceChange(
    "remove",
    "Drains a device and forgets it once it is empty.",
    "drain a device, and remove it once it is empty",
  ),
  deviceChange(
    "use",
    "Takes a draining or drained device back into use.",
    "take a draining or drained device back into use",
  ),
  change("forgetDevice", "/v1/devices/{device}/forget", {
    summary: "Removes an offline device permanently; its shards are rebuilt on the others.",
    request: schema.FORGET_DEVICE,
    read: ({ segment, body }) => {
      const { acceptLoss, ...request } = parseBody(schema.FORGET_DEVICE, body)
      return { ...request, change: { kind: "forgetDevice", id: parseDeviceId(segment("device")), acceptLoss } }
    },
  }),
  change("replaceDevice", "/v1/devices/{device}/replace", {
    summary: "Replaces an offline device with an empty folder.",
    request: schema.REPLACE_DEVICE,
    read: ({ segment, body }) => {
      const { path, node, acceptLoss, ...request } = parseBody(schema.REPLACE_DEVICE, body)
      const id = parseDeviceId(segment("device"))
      return { ...request, change: { kind: "replaceDevice", id, path, acceptLoss, ...onNode(node) } }
    },
  }),
  change("setWeight", "/v1/devices/{device}/weight", {
    summary: "Changes a device's share of the shards.",
    request: schema.SET_WEIGHT,
    read: ({ segment, body }) => {
      const { weight, ...request } = parseBody(schema.SET_WEIGHT, body)
      return { ...request, change: { kind: "setWeight", id: parseDeviceId(segment("device")), weight } }
    },
    commands: [
      {
        name: "device set-weight",
        help: "change a device's share of the shards; one that is drained is taken back into use",
        inputs: { device: DEVICE, weight: { flags: "<WEIGHT>", help: "relative to the others", reads: "number" } },
      },
    ],
  }),
  operation("checkDevice", "POST /v1/devices/{device}/check", {
    summary: "Checks a device now; an offline device that works again is put back into use.",
    answer: schema.DEVICE_CHECK,
    run: ({ store }, { segment }) => store.checkDevice(parseDeviceId(segment("device"))),
    commands: [
      {
        name: "device check",
        help: "probe a device now; an offline device that works returns to service",
        inputs: { device: DEVICE },
        text: ({ id, state, finding }) => `device ${id} is ${state}: ${finding}\n`,
      },
    ],
  }),
]

const NODE_OPERATIONS: readonly AdminOperation[] = [
  operation("listNodes", "GET /v1/nodes", {
    summary: "Lists the nodes of the store: their states, devices and jobs, and which cannot reach which.",
    answer: schema.NODES,
    run: async ({ status }) => nodesOf(status),
    commands: [
      {
        name: "node list",
        help: "list nodes with their state, devices and jobs, and which cannot reach which",
        text: nodesTable,
      },
    ],
  }),
  nodeChange(
    "drain",
    "Moves all shards of a node to other nodes.",
    "move all shards of a node to other nodes, in one change of the layout; it stays part of the store",
  ),
  nodeChange(
    "remove",
    "Drains a node and removes it once its devices are empty.",
    "drain a node, and remove it once its devices are empty",
  ),
  nodeChange("use", "Takes the devices of a node back into use.", "take the devices of a node back into use"),
  change("forgetNode", "/v1/nodes/{node}/forget", {
    summary: "Removes a lost node permanently, with its devices; their shards are rebuilt on the others.",
    request: schema.FORGET_NODE,
    read: ({ segment, body }) => {
      const { acceptLoss, ...request } = parseBody(schema.FORGET_NODE, body)
      return { ...request, change: { kind: "forgetNode", node: parseNodeName(segment("node")), acceptLoss } }
    },
    commands: [
      {
        name: "node forget",
        help: "permanently give up a lost node with all its devices; their shards are rebuilt on the others",
        inputs: { node: { flags: "<NODE>" }, acceptLoss: ACCEPT_LOSS },
      },
    ],
  }),
]

const CONVERSION_OPERATIONS: readonly AdminOperation[] = [
  operation("getConversion", "GET /v1/cluster/conversion", {
    summary: "Returns how far the metadata of the store has been moved to a database, or back.",
    answer: schema.CONVERSION,
    run: async ({ conversion }) => conversion.report(),
  }),
  operation("initCluster", "POST /v1/cluster/init", {
    request: schema.TO_DATABASE,
    summary: "Begins to move the metadata of a store on one machine to an empty database; clients work meanwhile.",
    answer: schema.CONVERSION,
    run: ({ conversion }, { body }) => conversion.toDatabase(parseBody(schema.TO_DATABASE, body)),
  }),
  operation("leaveCluster", "POST /v1/cluster/leave", {
    request: schema.TO_DEVICES,
    summary: "Begins to move the metadata from the database to the devices of the only node that is left.",
    answer: schema.CONVERSION,
    run: ({ conversion }, { body }) => conversion.toDevices(parseBody(schema.TO_DEVICES, body).lockedBuckets),
    isBodyOptional: true,
  }),
]

const LAYOUT_OPERATIONS: readonly AdminOperation[] = [
  operation("getLayout", "GET /v1/layout", {
    summary: "Returns the layout with the share of each device, and the remaining moves to it.",
    answer: schema.LAYOUT_DETAILS,
    run: ({ store }) => store.layout(),
    commands: [
      {
        name: "layout show",
        help: "the version of the layout, the share of each device, and the progress of moves to it",
        text: layout => layoutText(layout, workText),
      },
      {
        name: "ring show",
        help: "zones, machines and devices with their shards against their fair share, and what moves",
        text: layout => ringText(layout, workText),
      },
    ],
  }),
  change("changeLayout", "/v1/layout", {
    summary: "Makes several changes in one change of the layout.",
    request: schema.CHANGE_LAYOUT,
    read: ({ body }) => {
      const { changes, ...request } = parseBody(schema.CHANGE_LAYOUT, body)
      return { ...request, change: { kind: "changeLayout", changes: changes.map(stagedOf) } }
    },
  }),
  change("revertLayout", "/v1/layout/revert", {
    summary: "Goes back to the previous layout while shards move.",
    request: schema.REVERT_LAYOUT,
    read: ({ body }) => ({ ...parseBody(schema.REVERT_LAYOUT, body), change: { kind: "revertLayout" } }),
    commands: [{ name: "layout revert", help: "while shards move: go back to the previous layout" }],
  }),
]

const CLASS = {
  flags: "<CLASS>",
  help: "STANDARD_IA, ONEZONE_IA, REDUCED_REDUNDANCY, INTELLIGENT_TIERING, GLACIER_IR, GLACIER or DEEP_ARCHIVE",
}

const REDUNDANCY_OPERATIONS: readonly AdminOperation[] = [
  operation("getRedundancy", "GET /v1/redundancy", {
    summary: "Returns the store's policy, what it means, and buckets with their own policy.",
    answer: schema.REDUNDANCY,
    run: ({ store }) => store.redundancy(),
    commands: [
      {
        name: "redundancy show",
        help: "the policy, its meaning, and buckets with their own policy",
        text: redundancyText,
      },
      {
        name: "class list",
        help: "storage classes with their own redundancy, and that of the others",
        list: "classes",
        text: classesText,
      },
    ],
  }),
  change("setRedundancy", "/v1/redundancy", {
    summary: "Changes the policy of the store or of a bucket; stored blocks are re-encoded.",
    request: schema.SET_REDUNDANCY,
    read: ({ body }) => {
      const { policy: text, bucket: name, ...request } = parseBody(schema.SET_REDUNDANCY, body)
      const policy = text === "automatic" ? text : parsePolicy(text)
      const bucket = name === undefined ? undefined : parseBucketName(name)
      return { ...request, change: { kind: "setRedundancy", policy, bucket } }
    },
    commands: [
      {
        name: "redundancy set",
        help: "change the policy; stored objects are re-encoded in the background",
        inputs: {
          policy: {
            flags: "<POLICY|automatic>",
            help: "ec:4+2, replica:2, or automatic: by the number of devices (for a bucket: the store's policy)",
          },
          bucket: { flags: "--bucket <NAME>", help: "only for this bucket" },
        },
      },
    ],
  }),
  change("setClass", "/v1/redundancy/class", {
    summary: "Changes the policy of a storage class; stored blocks of its objects are re-encoded.",
    request: schema.SET_CLASS,
    read: ({ body }) => {
      const { policy: text, storageClass, ...request } = parseBody(schema.SET_CLASS, body)
      const policy = text === "automatic" ? undefined : parsePolicy(text)
      return { ...request, change: { kind: "setClass", storageClass, policy } }
    },
    commands: [
      {
        name: "class set",
        help: "give a storage class its own redundancy; its objects are re-encoded in the background",
        inputs: { storageClass: CLASS, policy: { flags: "<POLICY>", help: "ec:4+2, replica:2" } },
      },
      {
        name: "class clear",
        help: "give a storage class the redundancy of its bucket or the store again",
        inputs: { storageClass: CLASS },
        sends: { policy: "automatic" },
      },
    ],
  }),
]

export const STORE_PART_OPERATIONS: readonly AdminOperation[] = [
  ...LAYOUT_OPERATIONS,
  ...NODE_OPERATIONS,
  ...CONVERSION_OPERATIONS,
  ...DEVICE_OPERATIONS,
  ...REDUNDANCY_OPERATIONS,
]
