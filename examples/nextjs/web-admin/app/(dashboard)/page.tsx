export default function Overview() {
  return (
    <>
      <h1>Overview</h1>
      <p className="panel">Whoever calls appears in the top-right corner, on every page of this dashboard.</p>
    </>
  );
}
