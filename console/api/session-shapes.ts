/** Types of what the server says about sessions. */
import type { z } from "zod"
import type { REDIRECTION, SESSION } from "@hayloft/admin/session-schemas.js"

export type Session = z.output<typeof SESSION>
export type SignInOffers = Session["methods"]
export type Redirection = z.output<typeof REDIRECTION>
