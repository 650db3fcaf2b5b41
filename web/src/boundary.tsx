// Around a part of the page: what cannot be drawn says so in a line, and everything else stays.
import { Component, type ComponentChildren } from "preact";

interface Props {
  /** What it is around, as the beginning of a sentence. */
  what: string;
  /** At another place it is tried again. */
  place?: string;
  children: ComponentChildren;
}

interface State {
  failed: boolean;
  place?: string;
}

export class Boundary extends Component<Props, State> {
  override state: State = { failed: false };

  static override getDerivedStateFromProps({ place }: Props, state: State): State | null {
    return place === state.place ? null : { failed: false, place };
  }

  static override getDerivedStateFromError(): Partial<State> {
    return { failed: true };
  }

  override componentDidCatch(error: unknown): void {
    console.error(error);
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <p class="error" role="alert">
        {this.props.what} could not be shown.
      </p>
    );
  }
}
