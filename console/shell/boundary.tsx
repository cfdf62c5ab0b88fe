/** Keeps a page that fails from taking the console with it: shows what failed, and the navigation still works. */
import { Component, type ComponentChildren } from "preact"
import { asApiError } from "../api/client.js"
import { ErrorState } from "../parts/states.js"

export class Boundary extends Component<{ readonly children: ComponentChildren }, { readonly failure: unknown }> {
  override state: { failure: unknown } = { failure: undefined }

  static override getDerivedStateFromError(failure: unknown) {
    return { failure }
  }

  override render() {
    const { failure } = this.state
    if (failure === undefined) return this.props.children
    return <ErrorState error={asApiError(failure)} onRetry={() => this.setState({ failure: undefined })} />
  }
}
