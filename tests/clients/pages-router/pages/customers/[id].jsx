export const getServerSideProps = ({ params }) => ({ props: { service: process.env.CALLER_POPUP_URL, id: params.id } });

/** The test's customer. */
export default function Customer({ id }) {
  return <h1>{id === "68e8929ff0f6291c7d863496" ? "Sarah Customer" : "Unknown"}</h1>;
}
