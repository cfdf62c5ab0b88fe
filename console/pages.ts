/**
 * The pages of the console, in the order of the navigation. A page is one row here and one file in `pages/`; see
 * docs/how-to/add-a-console-page.md.
 */
import type { ComponentType } from "preact"
import type { IconName } from "./parts/icon.js"
import type { PageProps } from "./parts/page.js"
import { AuditPage } from "./pages/audit.js"
import { BucketsPage } from "./pages/buckets.js"
import { DevicesPage } from "./pages/devices.js"
import { IdentitiesPage } from "./pages/identities.js"
import { JobsPage } from "./pages/jobs.js"
import { LocksPage } from "./pages/locks.js"
import { OverviewPage } from "./pages/overview.js"
import { QueuesPage } from "./pages/queues.js"
import { RemotesPage } from "./pages/remotes.js"
import { SafetyPage } from "./pages/safety.js"
import { WhatIfPage } from "./pages/what-if.js"
import { TrafficPage } from "./pages/traffic.js"
import { TransformsPage } from "./pages/transforms.js"

export interface ConsolePage {
  /** The first segment of its address. */
  readonly path: string
  readonly title: string
  readonly icon: IconName
  readonly group: "Store" | "Data" | "Access" | "Activity"
  readonly component: ComponentType<PageProps>
  /** The operation without which the page has nothing: it is under Off while the store has that switched off. */
  readonly needs?: string
}

export const PAGES: readonly ConsolePage[] = [
  { path: "overview", title: "Overview", icon: "home", group: "Store", component: OverviewPage },
  { path: "safety", title: "Safety", icon: "safety", group: "Store", component: SafetyPage },
  { path: "devices", title: "Devices and layout", icon: "device", group: "Store", component: DevicesPage },
  { path: "what-if", title: "What if", icon: "simulate", group: "Store", component: WhatIfPage },
  { path: "buckets", title: "Buckets", icon: "bucket", group: "Data", component: BucketsPage },
  { path: "queues", title: "Queues", icon: "queue", group: "Data", component: QueuesPage },
  { path: "locks", title: "Locks", icon: "lock", group: "Data", component: LocksPage, needs: "listCoordNamespaces" },
  {
    path: "transforms",
    title: "Transforms",
    icon: "transform",
    group: "Data",
    component: TransformsPage,
    needs: "getTransforms",
  },
  { path: "remotes", title: "Remotes", icon: "remote", group: "Data", component: RemotesPage, needs: "getRemotes" },
  { path: "identities", title: "Identities", icon: "identity", group: "Access", component: IdentitiesPage },
  { path: "jobs", title: "Jobs", icon: "jobs", group: "Activity", component: JobsPage },
  { path: "traffic", title: "Traffic", icon: "traffic", group: "Activity", component: TrafficPage },
  { path: "audit", title: "Audit", icon: "audit", group: "Activity", component: AuditPage },
]
