/** Buckets: what they hold, creating and deleting them, and every setting of one as a form or as JSON. */
import { useSignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { addressOf, api } from "../api/client.js"
import { useLive } from "../api/live.js"
import type { Bucket, BucketSettings, Buckets } from "../api/shapes.js"
import { ConfirmButton } from "../parts/action-button.js"
import { Button } from "../parts/button.js"
import { FormDialog } from "../parts/dialog.js"
import { TextField } from "../parts/fields.js"
import { countText, sizeText, timeText } from "../parts/format.js"
import { Page, type PageProps } from "../parts/page.js"
import { PagedTable } from "../parts/paged-table.js"
import { EmptyState, Loaded } from "../parts/states.js"
import type { Column } from "../parts/table.js"
import { Tabs } from "../parts/tabs.js"
import { toast } from "../parts/toast.js"
import { go, pathTo } from "../shell/router.js"
import { mayUse, session } from "../shell/session.js"
import { bucketPath, settingIn } from "./buckets-api.js"
import { CopiesTab } from "./buckets-copies.js"
import { DedupTab } from "./buckets-dedup.js"
import { PackingTab } from "./buckets-packing.js"
import { FormsTab } from "./buckets-forms.js"
import { HistoryTab } from "./buckets-history.js"
import { InventoryTab } from "./buckets-inventory.js"
import { JsonTab } from "./buckets-json.js"
import { LifecycleTab } from "./buckets-lifecycle.js"
import { PolicyTab } from "./buckets-policy.js"
import { UsageTab } from "./buckets-usage.js"
import { WhySection } from "./buckets-why.js"

const EVERY_MS = 30_000

/** Those who have signed in with a key see the buckets of their account. */
function ownerOf(): string | undefined {
  const { value } = session
  const who = value.kind === "signedIn" ? value.session.who : undefined
  return who?.kind === "principal" ? who.accountId : undefined
}

const COLUMNS: readonly Column<Bucket>[] = [
  {
    key: "name",
    title: "Bucket",
    cell: ({ name }) => <a href={pathTo(["buckets", name])}>{name}</a>,
    sortBy: ({ name }) => name,
  },
  {
    key: "objects",
    title: "Objects",
    align: "end",
    cell: ({ usage }) => countText(usage.objects),
    sortBy: ({ usage }) => usage.objects,
  },
  {
    key: "bytes",
    title: "Size",
    align: "end",
    cell: ({ usage }) => sizeText(usage.bytes),
    sortBy: ({ usage }) => usage.bytes,
  },
  { key: "versioning", title: "Versioning", cell: ({ versioning }) => (versioning === "never" ? "off" : versioning) },
  {
    key: "created",
    title: "Created",
    cell: ({ createdMs }) => timeText(createdMs),
    sortBy: ({ createdMs }) => createdMs,
  },
  {
    key: "owner",
    title: "Owner",
    cell: ({ owner }) => <code>{owner.slice(0, 12)}</code>,
    sortBy: ({ owner }) => owner,
  },
]

function CreateDialog({ onClose, onDone }: { readonly onClose: () => void; readonly onDone: () => void }) {
  const name = useSignal("")
  const owner = useSignal(ownerOf() ?? "")
  const create = async (): Promise<void> => {
    const ofOwner = owner.value.trim() === "" ? {} : { owner: owner.value.trim() }
    await api.post("/v1/buckets", { name: name.value.trim(), ...ofOwner })
    toast(`Created bucket ${name.value.trim()}`)
    onDone()
  }
  return (
    <FormDialog
      title="Create a bucket"
      action="Create"
      isValid={name.value.trim() !== ""}
      work={create}
      onClose={onClose}
    >
      <TextField label="Name" value={name} isRequired isCode hint="3 to 63 characters: a-z, 0-9, dots and hyphens" />
      {ownerOf() === undefined && (
        <TextField label="Owner" value={owner} isCode hint="Id of an account. Empty: the root account" />
      )}
    </FormDialog>
  )
}

function BucketList() {
  const path = addressOf("/v1/buckets", { owner: ownerOf() })
  const live = useLive<Buckets>(path, EVERY_MS)
  const isCreating = useSignal(false)
  const action = mayUse("createBucket") && (
    <Button kind="primary" onClick={() => (isCreating.value = true)}>
      Create a bucket
    </Button>
  )
  return (
    <Page title="Buckets" live={live} actions={action}>
      <Loaded live={live}>
        {first => (
          <PagedTable
            caption="Buckets"
            path="/v1/buckets"
            query={{ owner: ownerOf() }}
            first={first}
            rowsOf={({ buckets }) => buckets}
            rowKey={({ name }) => name}
            columns={COLUMNS}
            empty={<EmptyState title="There is no bucket yet" icon="bucket" />}
          />
        )}
      </Loaded>
      {mayUse("explainDenial") && <WhySection />}
      {isCreating.value && <CreateDialog onClose={() => (isCreating.value = false)} onDone={live.refresh} />}
    </Page>
  )
}

function SettingsTabs({ bucket }: { readonly bucket: Bucket }) {
  const { name } = bucket
  const live = useLive<BucketSettings>(bucketPath(name, "settings"))
  const loaded = (content: (settings: BucketSettings) => ComponentChildren) => (
    <Loaded live={live}>{settings => content(settings)}</Loaded>
  )
  const ofSetting = (setting: string, Tab: typeof PolicyTab) =>
    loaded(settings => {
      const found = settingIn(settings, setting)
      if (found === undefined) return <EmptyState title={`There is no setting ${setting}`} />
      if (found.refused !== undefined) return <EmptyState title="You may not see this">{found.refused}</EmptyState>
      return <Tab key={JSON.stringify(found)} {...{ found }} bucket={name} onSaved={live.refreshed} />
    })
  return (
    <Tabs
      label={`Bucket ${name}`}
      tabs={[
        { key: "usage", title: "Usage", content: () => <UsageTab bucket={bucket} /> },
        { key: "history", title: "History", content: () => <HistoryTab bucket={bucket} /> },
        { key: "inventory", title: "Inventory", content: () => <InventoryTab bucket={bucket} /> },
        {
          key: "settings",
          title: "Settings",
          content: () => loaded(settings => <FormsTab {...{ settings }} bucket={name} onSaved={live.refreshed} />),
        },
        { key: "lifecycle", title: "Lifecycle", content: () => ofSetting("lifecycle", LifecycleTab) },
        { key: "dedup", title: "Deduplication", content: () => ofSetting("dedup", DedupTab) },
        { key: "packing", title: "Packing", content: () => ofSetting("packing", PackingTab) },
        { key: "copies", title: "Copies", content: () => ofSetting("copies", CopiesTab) },
        { key: "policy", title: "Policy", content: () => ofSetting("policy", PolicyTab) },
        {
          key: "json",
          title: "JSON",
          content: () => loaded(settings => <JsonTab {...{ settings }} bucket={name} onSaved={live.refreshed} />),
        },
      ]}
    />
  )
}

function OneBucket({ name }: { readonly name: string }) {
  const live = useLive<Bucket>(bucketPath(name), EVERY_MS)
  const remove = async (): Promise<void> => {
    await api.delete(bucketPath(name))
    go(pathTo(["buckets"]))
  }
  const actions = (
    <>
      <a class="button plain" href={pathTo(["objects", name])}>
        Objects
      </a>
      {mayUse("deleteBucket") && (
        <ConfirmButton
          kind="danger"
          title="Delete the bucket"
          question={`The bucket ${name} must be empty. Its settings and its history go with it.`}
          work={remove}
          done={`Deleted bucket ${name}`}
        >
          Delete
        </ConfirmButton>
      )}
    </>
  )
  return (
    <Page title={name} live={live} trail={[{ title: "Buckets", to: pathTo(["buckets"]) }]} actions={actions}>
      <Loaded live={live}>{bucket => <SettingsTabs key={name} bucket={bucket} />}</Loaded>
    </Page>
  )
}

export function BucketsPage({ segments: [name] }: PageProps) {
  return name === undefined ? <BucketList /> : <OneBucket key={name} name={name} />
}
