// What a board of ours may hold, in the types of Grafana's own schema package. Object literals are checked for excess
// keys, so a misspelt option fails, as does a wrong enum value or a string for a number.

import type * as schema from '@grafana/schema';
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as gauge from '@grafana/schema/dist/esm/raw/composable/gauge/panelcfg/x/GaugePanelCfg_types.gen';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON spells the members of a string enum as plain strings.
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

// The Prometheus query is not part of the schema package; these are the fields that its editor saves.
interface PromQuery extends schema.DataQuery {
  editorMode: 'code' | 'builder';
  exemplar: boolean;
  expr: string;
  format: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  legendFormat: string;
  range: boolean;
}

interface PromVariableQuery {
  qryType: number;
  query: string;
  refId: string;
}

interface FieldConfigSource<F> {
  defaults: Omit<schema.FieldConfig, 'custom' | 'links'> & { custom?: F; links?: DataLink[] };
  overrides: schema.FieldConfigSource['overrides'];
}

interface DataLink {
  targetBlank?: boolean;
  title: string;
  url: string;
}

interface PanelOf<K extends string, O, F> extends Omit<schema.Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> {
  fieldConfig: FieldConfigSource<F>;
  options: O;
  targets: PromQuery[];
  type: K;
}

// Grafana 13 gave the gauge new options, all with defaults; ours are those it shares with 12.
type AnyPanel =
  | PanelOf<'bargauge', bargauge.Options, {}>
  | PanelOf<'gauge', Partial<gauge.Options>, {}>
  | PanelOf<'heatmap', heatmap.Options, heatmap.FieldConfig>
  | PanelOf<'stat', stat.Options, {}>
  | PanelOf<'table', table.Options, table.FieldConfig>
  | PanelOf<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | schema.RowPanel;

// Where and how an annotation's words are found is the Prometheus data source's own business, too.
interface PromAnnotation extends Omit<schema.AnnotationQuery, 'target'> {
  tagKeys: string;
  target: PromQuery;
  textFormat: string;
  titleFormat: string;
}

interface Variable extends Omit<schema.VariableModel, 'query'> {
  query: string | PromVariableQuery;
}

interface Dashboard extends Omit<schema.Dashboard, 'annotations' | 'panels' | 'templating'> {
  annotations: { list: PromAnnotation[] };
  panels: AnyPanel[];
  templating: { list: Variable[] };
}

export type Board = Json<Dashboard>;
