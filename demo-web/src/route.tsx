import type { Answer } from "neuromesh";
import { TIER_NAMES, attemptText, millis } from "./text";

/** Where an answer came from, how long it took and why there; tries that failed are said, not hidden. */
export function RouteLine({ answer, testid }: { answer: Answer; testid: string }) {
  const { tier, elapsedMs, reason, attempts } = answer.route;
  const failed = attempts.slice(0, -1);
  return (
    <div class="route" data-testid={testid}>
      <span class={`tier ${tier}`} data-testid={`${testid}-tier`} data-tier={tier}>
        {TIER_NAMES[tier]}
      </span>
      <span class="time" data-testid={`${testid}-time`}>
        {millis(elapsedMs)}
      </span>
      <span class="reason" data-testid={`${testid}-reason`}>
        {reason}
      </span>
      {failed.length > 0 && (
        <span class="retried" data-testid={`${testid}-retried`}>
          {failed.map(attemptText).join(", then ")}: answered {tier === "device" ? "on this device" : "elsewhere"} instead
        </span>
      )}
    </div>
  );
}
